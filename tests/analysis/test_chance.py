"""Chance: the best constant answer, by hand, and that a constant model never beats it."""

from __future__ import annotations

import pytest
import torch

from iclmech.analysis import AnalysisError, metrics, statistics


def answering(*classes: int) -> torch.Tensor:
    return torch.eye(3)[list(classes)]


def test_the_best_constant_is_the_most_frequent_class() -> None:
    assert metrics.best_constant([2, 0, 2, None, -1, 1]) == 2
    assert metrics.best_constant(torch.tensor([1, 0, 1, 0])) == 0, "the smallest of several"
    with pytest.raises(AnalysisError, match="at least one"):
        metrics.best_constant([None, -1])


def test_the_difference_is_paired_by_query() -> None:
    gold = [0, 0, 0, 1, 2, None]
    found = metrics.above_constant(answering(0, 1, 0, 1, 1, 0), gold)
    assert found[:5].tolist() == [0, -1, 0, 1, 0]
    assert found[5].isnan()
    assert metrics.above_constant(answering(0, 1, 0, 1, 1, 0), gold, constant=1)[:5].tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_a_model_that_gives_one_word_is_never_above_chance(answer: int) -> None:
    gold = [0] * 10 + [1] * 6 + [2] * 5
    values = metrics.above_constant(answering(*[answer] * 21), gold).expand(5, -1)
    found = statistics.two_way_interval(values.numpy(), binary="difference")
    assert found.mean <= 0
    assert found.low < 0


def test_a_model_that_is_right_is_above_chance() -> None:
    gold = [0] * 10 + [1] * 8 + [2] * 8
    values = metrics.above_constant(answering(*gold), gold).expand(3, -1)
    assert statistics.two_way_interval(values.numpy(), binary="difference").low > 0.3


def test_the_share_of_the_most_frequent_answer() -> None:
    assert metrics.answer_share(answering(0, 1, 1, 2)).item() == 0.5
    scores = answering(0, 0, 1, 1, 1)
    scores[4] = torch.nan
    assert metrics.answer_share(scores).item() == 0.5
    assert metrics.answer_share(torch.zeros(3, 0)).isnan()
