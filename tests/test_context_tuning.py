"""Tuned contexts: identities with learning in context, the loss and its gradient in plain PyTorch, balls, controls."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl
from iclmech._base import UpdateError
from iclmech.context_tuning import TunedContext, context_loss, tune_context


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    return icl.build_prompts(model, icl.load_task("mini/topic"), k=3, n_queries=6, n_contexts=2)


def test_without_steps_or_radius_it_is_learning_in_context(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    plain = icl.capture(model, prompts, "icl", ())
    for tuned in (tune_context(model, prompts, steps=0), tune_context(model, prompts, steps=2, radius=0.0)):
        found = icl.capture(model, prompts, "icl", (), interventions=[tuned])
        torch.testing.assert_close(found.label_scores, plain.label_scores, atol=2e-5, rtol=1e-5)


def test_the_loss_is_that_of_the_labels_and_falls(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    context = prompts.contexts[0]
    with torch.no_grad():
        logp = model.hooked(torch.tensor([context.tokens]))[0].log_softmax(-1)
    ends = [i for i, s in enumerate(context.spans) if s.role == "label"]
    at = [context.spans[i].start for i in ends]
    terms = [-logp[p - 1, context.tokens[p]] for p in at]
    weights = [0.25, 0.5, 1.0]
    expected = sum(w * t for w, t in zip(weights, terms, strict=True)) / 1.75
    delta = torch.zeros(len(context.tokens), 64)
    assert context_loss(model, context, delta, decay=0.5).item() == pytest.approx(float(expected), abs=1e-4)
    tuned = tune_context(model, prompts, steps=8, radius=0.2)
    assert tuned.losses[-1] < 0.9 * tuned.losses[0]


def test_the_gradient_is_that_of_finite_differences(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    context = prompts.contexts[0]
    delta = torch.zeros(len(context.tokens), 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(context_loss(model, context, delta), delta)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        ahead, behind = (context_loss(model, context, sign * 0.02 * direction) for sign in (1, -1))
    assert ((ahead - behind) / 0.04).item() == pytest.approx(gradient.norm().item(), rel=0.03)
    assert gradient[-1].norm() == 0  # nothing reads the last separator


def test_tokens_stay_in_their_balls_and_labels_can_be_held(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    tuned = tune_context(model, prompts, steps=12, lr=0.5, radius=0.1, label_radius=0.0)
    for context in prompts.contexts:
        ids = tuple(context.tokens)
        moved = tuned.deltas[ids].norm(dim=-1)
        assert (moved <= tuned.radii[ids] * (1 + 1e-5)).all()
        assert moved[0] == 0
        labels = [p for s in context.spans if s.role == "label" for p in range(s.start, s.stop)]
        assert (moved[labels] == 0).all()
        assert (moved > 0).sum() > len(ids) // 2


def test_contexts_keep_to_their_own_and_random_moves_are_as_long(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    tuned = tune_context(model, prompts, steps=3, radius=0.3)
    plain = icl.capture(model, prompts, "icl", ())
    first = TunedContext({tuple(prompts.contexts[0].tokens): tuned.deltas[tuple(prompts.contexts[0].tokens)]})
    found = icl.capture(model, prompts, "icl", (), interventions=[first])
    moved = (found.label_scores - plain.label_scores).abs().max(dim=-1).values
    own = torch.tensor([q.context == 0 for q in prompts.queries])
    assert moved[own].min() > 1e-3 > 2e-5 > moved[~own].max()
    random = tuned.random(1)
    for ids, delta in tuned.deltas.items():
        torch.testing.assert_close(random.deltas[ids].norm(dim=-1), delta.norm(dim=-1), atol=1e-5, rtol=1e-5)
    found = icl.capture(model, prompts, "zs", (), interventions=[tuned])
    torch.testing.assert_close(
        found.label_scores, icl.capture(model, prompts, "zs", ()).label_scores, atol=2e-5, rtol=1e-5
    )


def test_refusals(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    with pytest.raises(UpdateError, match="radius=-1"):
        tune_context(model, prompts, radius=-1.0)
    with pytest.raises(UpdateError, match="nothing to refine"):
        tune_context(model, icl.build_prompts(model, icl.load_task("mini/topic"), k=0, n_queries=1))
