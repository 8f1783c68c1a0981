"""Calibration error by hand and by loops, its floor against known simulations, and Brier's score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iclmech.analysis import AnalysisError, metrics


def sure(confidence: torch.Tensor, classes: int = 2) -> torch.Tensor:
    """Scores that answer class 0 with these confidences."""
    rest = (1 - confidence) / (classes - 1)
    return torch.stack([confidence, *[rest] * (classes - 1)], dim=-1).log()


def uniform(low: float, n: int) -> torch.Tensor:
    return low + (1 - low) * torch.rand(n, generator=torch.Generator().manual_seed(0))


def test_by_hand() -> None:
    scores = sure(torch.tensor([0.6, 0.6, 0.9, 0.9]))
    # at .6 none is right, at .9 both are: (.6 + .1) / 2
    assert metrics.ece(scores, [1, 1, 0, 0], bins=2).item() == pytest.approx(0.35)
    assert metrics.ece(scores, [1, 1, 0, 0], bins=1).item() == pytest.approx(0.25)  # |.5 - .75|
    assert metrics.ece(scores, [1, 1, 0, None], bins=1).item() == pytest.approx(abs(1 / 3 - 0.7))
    assert metrics.ece(scores, [None] * 4).isnan()


@pytest.mark.parametrize("how", ["mass", "width"])
def test_it_equals_a_plain_loop(how: str) -> None:
    scores = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(3, (200,), generator=torch.Generator().manual_seed(2))
    p = scores.double().softmax(-1).numpy()
    confidence, right = p.max(-1), p.argmax(-1) == labels.numpy()
    order = np.argsort(confidence)
    if how == "mass":
        groups = [order[i * 20 : (i + 1) * 20] for i in range(10)]
    else:
        groups = [np.flatnonzero((confidence > i / 10) & (confidence <= (i + 1) / 10)) for i in range(10)]
    expected = sum(abs(right[g].mean() - confidence[g].mean()) * len(g) for g in groups if len(g)) / 200
    assert metrics.ece(scores, labels, how=how).item() == pytest.approx(expected, abs=1e-6)


def test_equal_confidences_do_not_depend_on_the_order_of_queries() -> None:
    scores = sure(torch.full((40,), 0.7))
    labels = torch.tensor([0] * 28 + [1] * 12)
    assert metrics.ece(scores, labels).item() == pytest.approx(0, abs=1e-6)
    assert metrics.ece(scores, labels.flip(0)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("low", "n", "known"),
    [
        (0.5, 64, 0.089),
        (0.25, 64, 0.117),
        (0.5, 256, 0.045),
        (0.25, 256, 0.060),
        (0.5, 1000, 0.022),
        (0.25, 1000, 0.031),
    ],
)
def test_the_floor_with_bins_of_equal_width_is_the_known_one(low: float, n: int, known: float) -> None:
    floor = metrics.ece_floor(sure(uniform(low, n), classes=5), how="width", draws=400)
    assert floor.item() == pytest.approx(known, rel=0.08)


def test_a_perfect_predictor_stands_at_its_floor_and_a_boastful_one_above() -> None:
    confidence = uniform(0.5, 400)
    perfect = []
    for draw in range(60):
        wrong = torch.rand(400, generator=torch.Generator().manual_seed(10 + draw)) > confidence
        perfect.append(metrics.ece(sure(confidence), wrong.long()).item())
    scores = sure(confidence)
    assert np.mean(perfect) == pytest.approx(metrics.ece_floor(scores).item(), rel=0.1)
    assert np.mean(np.array(perfect) > metrics.ece_floor(scores, quantile=0.95).item()) < 0.15
    labels = (torch.arange(400) % 2).long()
    assert metrics.ece(scores, labels) > metrics.ece_floor(scores, quantile=0.95)
    assert torch.equal(metrics.ece_floor(scores), metrics.ece_floor(scores)), "seeded"


def test_brier_by_hand() -> None:
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]).log()
    found = metrics.brier(scores, [0, 2, None])
    assert found[:2].tolist() == pytest.approx([0.09 + 0.04 + 0.01, 0.49 + 0.04 + 0.81])
    assert found[2].isnan()


def test_bad_questions_are_refused() -> None:
    scores = sure(uniform(0.5, 8))
    with pytest.raises(AnalysisError, match="bins=0"):
        metrics.ece(scores, [0] * 8, bins=0)
    with pytest.raises(AnalysisError, match="'width'"):
        metrics.ece_floor(scores, how="size")
    with pytest.raises(AnalysisError, match="quantile"):
        metrics.ece_floor(scores, quantile=1.5)
    with pytest.raises(AnalysisError, match="free-text"):
        metrics.brier(torch.zeros(3, 0), [None] * 3)
    with pytest.raises(AnalysisError, match=r"\(2,\) labels for 8"):
        metrics.ece(scores, [0, 1])
