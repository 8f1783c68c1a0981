"""Reliability by hand, its band against a calibrated model, the debiased error against its expectation, F1 against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score

from iclmech.analysis import AnalysisError, metrics


def sure(confidence: torch.Tensor) -> torch.Tensor:
    return torch.stack([confidence, 1 - confidence], dim=-1).log()


def test_bins_by_hand() -> None:
    scores = sure(torch.tensor([0.58, 0.62, 0.9, 0.92]))
    found = metrics.reliability(scores, [1, 0, 0, 0], bins=2)
    assert found.confidence.tolist() == pytest.approx([0.6, 0.91])
    assert found.accuracy.tolist() == [0.5, 1.0]
    assert found.count.tolist() == [2, 2]
    width = metrics.reliability(scores, [1, 0, 0, None], bins=10, how="width")
    assert width.accuracy[8:].isnan().tolist() == [False, True]
    assert width.count.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 1, 0]
    assert width.low[0].isnan()
    error = (found.accuracy - found.confidence).abs() @ found.count / 4
    assert error.item() == pytest.approx(metrics.ece(scores, [1, 0, 0, 0], bins=2).item())
    with pytest.raises(AnalysisError, match="got 3 groups"):
        metrics.reliability(scores, [1, 0, 0, 0], groups=[0, 1, 2])


def test_a_calibrated_model_lies_in_the_band_and_repeated_queries_widen_it() -> None:
    generator = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(40):
        confidence = 0.5 + 0.5 * torch.rand(200, generator=generator)
        labels = (torch.rand(200, generator=generator) >= confidence).long()
        found = metrics.reliability(sure(confidence), labels, bins=5)
        inside += int(((found.low <= found.accuracy) & (found.accuracy <= found.high)).sum())
    assert 0.9 < inside / 200 < 0.99
    confidence = (0.5 + 0.5 * torch.rand(50, generator=generator)).repeat(4)
    scores, labels = sure(confidence), [0] * 200
    alone = metrics.reliability(scores, labels, bins=2)
    together = metrics.reliability(scores, labels, bins=2, groups=[i % 50 for i in range(200)])
    assert (together.high - together.low > 1.5 * (alone.high - alone.low)).all()


def test_the_debiased_error_is_zero_on_average_and_positive_for_a_wrong_model() -> None:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(300):
        confidence = 0.5 + 0.5 * torch.rand(60, generator=generator)
        labels = (torch.rand(60, generator=generator) >= confidence).long()
        found.append(metrics.debiased_ece2(sure(confidence), labels, bins=6))
    mean = torch.stack(found).mean()
    assert mean.abs() < 0.003  # the biased one is about .02
    assert metrics.debiased_ece2(sure(torch.full((50,), 0.95)), [0, 1] * 25) > 0.1
    assert metrics.debiased_ece2(sure(torch.full((1,), 0.95)), [0]).isnan()


def test_macro_f1_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(80, 4, generator=generator)
    labels = torch.randint(4, (80,), generator=generator)
    expected = f1_score(labels, scores.argmax(-1), average="macro")
    assert metrics.macro_f1(scores, labels).item() == pytest.approx(expected, abs=1e-6)
