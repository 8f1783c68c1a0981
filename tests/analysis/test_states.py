"""When a shift counts as rounding noise: on a model in two precisions, and for what is held in another than it was computed in."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl


@pytest.fixture(scope="module")
def both() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(SimAM, SimAOU) of one update on icl-mini, in float32 and in float64."""
    found = []
    for dtype in (torch.float32, torch.float64):
        model = icl.load_model("icl-mini", dtype=dtype)
        prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=8, n_queries=8, seed=0)
        update = icl.gradient_descent(model, prompts, lr=0.03)
        zs, context = (icl.capture(model, prompts, setting) for setting in ("zs", "icl"))
        with update.applied(model):
            ft = icl.capture(model, prompts, "zs")
        found.append((icl.metrics.sim_am(zs, context, ft), icl.metrics.sim_aou(zs, context, ft)))
    return found


def test_a_careful_precision_masks_and_measures_what_single_precision_does(
    both: list[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Rotary angles, norms and softmax are computed in float32 in any model: its noise is no smaller in float64."""
    for single, double in zip(*both, strict=True):
        assert torch.equal(single.isnan(), double.isnan())
        torch.testing.assert_close(single, double.to(single.dtype), atol=1e-3, rtol=0, equal_nan=True)


def test_layer_zero_under_rotary_positions_has_no_scores_to_compare(
    both: list[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    for sim_am, sim_aou in both:
        assert sim_am[:, 0].isnan().all()
        assert not sim_am[:, 1:].isnan().any()
        assert not sim_aou.isnan().any()
