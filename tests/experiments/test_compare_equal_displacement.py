"""Two updates at one displacement: the difference that is there, not the one that their rates make."""

from __future__ import annotations

import numpy as np
import pytest

import iclmech as icl
from iclmech.experiments import CompareRequest
from iclmech.experiments.comparison._equal_displacement import RateCells, equal_displacement
from iclmech.experiments.comparison._plan import plan_of
from iclmech.experiments.comparison._records import Records
from iclmech.experiments.comparison._untrained_steps import beside_untrained


def cells(moved: list[float], lead: float, chosen: int, layers: int = 2) -> RateCells:
    """Similarity is half the displacement, and `lead` more."""
    noise = 0.01 * np.random.default_rng(0).normal(size=(3, 8, 1, layers))
    displacement = np.broadcast_to(np.array(moved)[:, None], (3, 8, len(moved), layers)).copy()
    return RateCells(displacement, displacement / 2 + lead + noise, chosen)


def test_what_only_the_displacement_makes_is_no_difference() -> None:
    near, far = cells([0.1, 0.2], 0.0, 1), cells([0.1, 0.3, 0.8], 0.0, 2)
    found = equal_displacement({"gd": near, "lcgd": far})
    assert found["equal_displacement_difference"][1][1] == pytest.approx(0, abs=1e-9)
    assert far.sim_aou[:, :, 2].mean() - near.sim_aou[:, :, 1].mean() == pytest.approx(0.3)  # at their own rates
    np.testing.assert_allclose(found["equal_displacement_at"][1][1], 0.2)
    assert np.isnan(found["equal_displacement_difference"][1][0])


def test_a_lead_at_equal_displacement_is_found() -> None:
    found = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": cells([0.1, 0.3, 0.8], 0.07, 2)})
    assert found["equal_displacement_difference"][1][1] == pytest.approx(0.07)
    noisy = cells([0.1, 0.3, 0.8], 0.07, 2)
    noisy.sim_aou[...] += 0.02 * np.random.default_rng(1).normal(size=(3, 8, 1, 2))
    low, high = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": noisy})[
        "equal_displacement_difference_ci"
    ][1][1]
    assert 0.03 < low < 0.07 < high < 0.11


def test_a_layer_without_a_common_range_is_left_out() -> None:
    far = cells([0.3, 0.8], 0.07, 1)
    far.displacement[..., 1] -= 0.25  # this layer alone has been as near as the other update
    found = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": far})
    assert found["equal_displacement_layers"][1][1] == 1
    assert np.isnan(found["equal_displacement_at"][1][1]).tolist() == [True, False]


def test_it_stands_in_a_comparison_with_chosen_rates() -> None:
    options = {"k": 4, "n_queries": 8, "seeds": 1, "controls": "none", "n_boot": 20, "progress": False}
    data = icl.compare("icl-mini", "mini/sentiment", **options).data
    assert data.equal_displacement_difference.dims == ("update",)
    assert np.isfinite(data.equal_displacement_difference.sel(update="lcgd"))
    assert data.equal_displacement_layers.sel(update="lcgd") > 0


def test_updates_without_a_curve_keep_their_place() -> None:
    found = equal_displacement(
        {"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": cells([0.1, 0.3], 0.0, 1)}, ["v", "gd", "lcgd"]
    )
    difference = found["equal_displacement_difference"][1]
    assert np.isnan(difference[:2]).all()
    assert difference[2] == pytest.approx(0, abs=1e-9)


def moved_and_similar(seed: int, lr: float) -> tuple[np.ndarray, np.ndarray]:
    """Displacement and SimAOU of one update on one untrained model [query, layer], with nothing but captures and an update."""
    fresh, task = icl.load_model("icl-mini").untrained(seed), icl.load_task("mini/sentiment")
    prompts = icl.build_prompts(fresh, task, k=4, n_queries=8, queries_from="train", seed=seed)
    zs, behind = (icl.capture(fresh, prompts, setting, ("attn_out",)) for setting in ("zs", "icl"))
    with icl.gradient_descent(fresh, prompts, lr=lr).applied(fresh):
        tuned = icl.capture(fresh, prompts, "zs", ("attn_out",))
    return icl.metrics.displacement(zs, tuned).numpy(), icl.metrics.sim_aou(zs, behind, tuned).numpy()


def test_untrained_models_are_read_where_they_have_moved_as_far() -> None:
    model, task, records = icl.load_model("icl-mini"), icl.load_task("mini/sentiment"), Records()
    request = CompareRequest(k=4, n_queries=8, seeds=1, updates=("gd",), controls=("untrained",))
    # a trained model as similar as it has moved, and that further than the untrained ones at the last of their rates
    moved = np.broadcast_to(np.array([0.0, 1.9])[:, None], (3, 8, 2, model.shape.n_layers))
    trained = {"gd": (RateCells(moved, moved, 1), -9)}
    found = beside_untrained(model, task, plan_of(request, task, model.name, {}), trained, records, lambda _: None)
    last = [moved_and_similar(seed, 10 ** (-9 / 3)) for seed in range(3)]
    expected = float(np.mean([far - alike for far, alike in last]))
    assert found["untrained_equal_displacement_layers"][1] == [model.shape.n_layers]
    assert found["untrained_equal_displacement_difference"][1] == pytest.approx([expected], abs=1e-5)
    np.testing.assert_allclose(
        found["untrained_equal_displacement_at"][1][0], np.mean([far for far, _ in last], axis=(0, 1)), atol=1e-5
    )
    assert "trained beside untrained" in records.notes[-1]


def test_trained_beside_untrained_stands_in_a_comparison() -> None:
    options = {"k": 4, "n_queries": 8, "seeds": 1, "controls": ("untrained",), "n_boot": 20, "progress": False}
    result = icl.compare("icl-mini", "mini/sentiment", **options)
    assert np.isfinite(result.data.untrained_equal_displacement_difference.sel(update="gd"))
    assert sum("trained beside untrained" in note for note in result.notes) == 2
