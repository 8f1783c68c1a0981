"""The affine ceiling: a boundary turned around, the optimum of a convex problem, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl
from iclmech.analysis import AnalysisError
from iclmech.calibration import AffineMap, calibrated, fit_affine


def acts_of(scores: torch.Tensor, labels: list[int | None]) -> icl.Activations:
    gold = torch.tensor([scores[i, y].item() if y is not None else torch.nan for i, y in enumerate(labels)])
    return icl.Activations({}, {}, scores, gold, "icl", (), {"contexts": [0] * len(scores), "labels": labels})


def drawn() -> tuple[icl.Activations, list[int | None]]:
    generator = torch.Generator().manual_seed(0)
    labels: list[int | None] = torch.randint(3, (90,), generator=generator).tolist()
    scores = torch.randn(90, 3, generator=generator)
    scores[torch.arange(90), torch.tensor(labels)] += torch.tensor([1.0, -2.0, 0.5])[torch.tensor(labels)]
    return acts_of(scores, labels), labels


def test_the_gradient_vanishes_and_neighbours_are_worse() -> None:
    acts, labels = drawn()
    found = fit_affine(acts, labels, ridge=0.05)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        logits = acts.label_scores.double() * weights[0] + weights[1]
        start = torch.tensor([[1.0] * 3, [0.0] * 3]).double()
        return (
            torch.nn.functional.cross_entropy(logits, torch.tensor(labels)) + 0.025 * (weights - start).square().sum()
        )

    best = torch.stack([found.scale, found.shift]).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(best), best)
    assert gradient.abs().max() < 1e-5
    assert found.scale[1] < 0 < found.scale[0]  # class 1 scores low where it is right: its score is turned around


def test_it_does_what_no_prior_can() -> None:
    acts, labels = drawn()
    before = icl.metrics.accuracy(acts, labels)
    after = icl.metrics.accuracy(fit_affine(acts, labels).applied(acts), labels)
    shifts = [torch.tensor([[p, q, 1 - p - q]]) for p in (0.05, 0.3, 0.6, 0.9) for q in (0.01, 0.04, 0.3) if p + q < 1]
    best = max(icl.metrics.accuracy(calibrated(acts, prior), labels).item() for prior in shifts)
    assert after > max(best, before.item()) + 0.1


def test_the_identity_changes_nothing_and_right_answers_follow_their_label() -> None:
    acts, _ = drawn()
    same = AffineMap(torch.ones(3), torch.zeros(3)).applied(acts)
    torch.testing.assert_close(same.label_scores, acts.label_scores)
    moved = AffineMap(torch.tensor([2.0, 1.0, 1.0]), torch.tensor([0.5, 0.0, 0.0])).applied(acts)
    for i, y in enumerate(acts.meta["labels"]):
        assert moved.target_scores[i] == moved.label_scores[i, y]


def test_refusals() -> None:
    acts, _ = drawn()
    with pytest.raises(AnalysisError, match="got no query with a label"):
        fit_affine(acts, [None] * 90)
    with pytest.raises(AnalysisError, match="got 2 labels for 90"):
        fit_affine(acts, [0, 1])
    with pytest.raises(AnalysisError, match="this map is of 2"):
        AffineMap(torch.ones(2), torch.zeros(2)).applied(acts)
