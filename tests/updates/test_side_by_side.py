"""Several prompt sets in one call: each update is the one that its prompt set gives alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import iclmech as icl
from iclmech._base import UpdateError
from iclmech.updates import momentum_gd


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini", dtype=torch.float64)


@pytest.fixture(scope="module")
def sets(model: icl.ICLModel) -> list[icl.PromptSet]:
    """Demonstrations in other orders and under other labels: at every step the rows differ in length and in targets."""
    prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=5, n_queries=1, seed=3)
    (context,) = prompts.contexts
    turned = prompts.with_contexts(
        [context.with_demonstrations([*context.demonstrations[2:], *context.demonstrations[:2]])]
    )
    return [prompts, turned, prompts.with_permuted_labels(3, 1)[0]]


def alone_and_together(method: Any, model: icl.ICLModel, sets: list[icl.PromptSet], **options: Any) -> None:
    together = method(model, sets, lr=0.05, **options)
    assert len({len(d.tokens) for prompts in sets[:2] for d in prompts.demonstrations[:1]}) == 2
    for prompts, update in zip(sets, together, strict=True):
        alone = method(model, prompts, lr=0.05, **options)
        for name, delta in alone.deltas.items():
            assert torch.allclose(update.deltas[name], delta, rtol=0, atol=1e-12), name
        assert update.meta["demonstrations"] == alone.meta["demonstrations"]
        assert torch.allclose(torch.tensor(update.meta["losses"]), torch.tensor(alone.meta["losses"]), atol=1e-12)
    assert not torch.equal(next(iter(together[0].deltas.values())), next(iter(together[1].deltas.values())))


@pytest.mark.parametrize("batch", ["one", "full"])
@pytest.mark.parametrize("loss", ["label", "all"])
def test_gradient_descent_on_each_is_that_on_it_alone(model, sets, loss, batch):
    alone_and_together(icl.gradient_descent, model, sets, loss=loss, batch=batch)


@pytest.mark.parametrize("strategy", ["batched", "layerwise"])
@pytest.mark.parametrize("loss", ["label", "all"])
def test_layer_causal_descent_on_each_is_that_on_it_alone(model, sets, loss, strategy):
    alone_and_together(icl.layer_causal_gd, model, sets, loss=loss, strategy=strategy)


def test_rows_whose_labels_have_different_numbers_of_tokens_keep_their_own_mean(model, sets):
    """A label of two tokens beside one of a single token: the mean of the first is over two."""
    first, other, _ = sets
    (context,) = other.contexts
    wider = [
        replace(d, label_span=(d.label_span[0] - 1, d.label_span[1])) if i % 2 else d
        for i, d in enumerate(context.demonstrations)
    ]
    other = other.with_contexts([context.with_demonstrations(wider)])
    for method in (icl.gradient_descent, icl.layer_causal_gd):
        alone_and_together(method, model, [first, other])


def test_momentum_takes_several_one_after_the_other(model, sets):
    alone_and_together(momentum_gd, model, sets)


def test_different_numbers_of_demonstrations_are_trained_alone(model, sets):
    few = sets[1].with_contexts([sets[1].contexts[0].with_demonstrations(sets[1].demonstrations[:2])])
    alone_and_together(icl.gradient_descent, model, [sets[0], few])


def test_several_sets_and_several_rates_are_refused(model, sets):
    with pytest.raises(UpdateError, match="several of one only"):
        icl.gradient_descent(model, sets, lr=[0.1, 0.2])  # type: ignore[call-overload]
