"""Random changes that move every layer as far as the update: the one-pass search against the plain one, and captures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech.experiments.comparison import _matched_scales as matched

WORDS = ["good", "fine", "poor", "dull", "odd", "long", "warm", "cold"]


def small_task() -> icl.Task:
    records = [{"text": f"{WORDS[i % 8]} {WORDS[(3 * i) % 8]} {i}", "label": (i // 2) % 2} for i in range(24)]
    return icl.Task.from_records(records, records, template="{text} =", label_words=["negative", "positive"])


@pytest.mark.parametrize(
    ("family", "position"), [("gpt2", "prediction"), ("llama", "label"), ("gpt_neox", "prediction")]
)
def test_layer_by_layer_the_displacement_is_that_of_the_update(
    tiny_model: Callable[..., icl.ICLModel], family: str, position: str
) -> None:
    model = tiny_model(family, 2)
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=5, seed=0)
    update = icl.gradient_descent(model, prompts, lr=0.3)
    noise = matched.noise_like(update, 0, 2)
    before = {name: p.clone() for name, p in model.hooked.named_parameters()}
    found = matched.matched_scales(model, prompts, position, update, noise)
    assert all(torch.equal(before[name], p) for name, p in model.hooked.named_parameters())
    plain = matched.scales_by_capture(model, prompts, position, update, noise)
    np.testing.assert_allclose(found.aim, plain.aim, rtol=2e-3)
    np.testing.assert_allclose(found.scales, plain.scales, rtol=0.02, atol=1e-3)
    assert (found.reached == plain.reached).all()

    def states(weights: icl.WeightUpdate) -> torch.Tensor:
        with weights.applied(model):
            return icl.capture(model, prompts, "zs", ("attn_out",), position)["attn_out"]

    zero = icl.capture(model, prompts, "zs", ("attn_out",), position)["attn_out"]
    aim = 1 - torch.cosine_similarity(zero, states(update), dim=-1).double().mean(0)
    for draw, factors in enumerate(found.scales):
        moved = 1 - torch.cosine_similarity(zero, states(matched.scaled(update, noise[draw], factors)), dim=-1)
        close = moved.double().mean(0) / aim - 1
        assert (close.abs().numpy()[found.reached[draw]] < 0.025).all()
    assert found.reached.any()


def test_noise_has_the_norm_of_every_matrix_and_differs_between_draws(tiny_model: Callable[..., icl.ICLModel]) -> None:
    model = tiny_model("gpt2", 2)
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=2, seed=0)
    update = icl.gradient_descent(model, prompts, lr=0.3)
    one, other = matched.noise_like(update, 0, 2)
    for name, delta in update.deltas.items():
        assert one[name].norm().item() == pytest.approx(delta.norm().item(), rel=1e-4)
        assert not torch.equal(one[name], other[name])
    halved = matched.scaled(update, one, np.array([0.5, 3.0]))
    assert halved.norm(0) == pytest.approx(update.norm(0) / 2, rel=1e-4)
    assert halved.norm(1) == pytest.approx(update.norm(1) * 3, rel=1e-4)
