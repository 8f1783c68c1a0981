"""Holm's adjustment against hand-made and published cases, and claims that need several contrasts."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech.analysis import AnalysisError, statistics


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    # what statsmodels.stats.multitest.multipletests(..., method="holm") and R's p.adjust give
    p = [0.001, 0.01, 0.02, 0.03, 0.5]
    assert statistics.holm(p).tolist() == pytest.approx([0.005, 0.04, 0.06, 0.06, 0.5])
    assert statistics.holm([0.6, 0.7]).tolist() == [1, 1]
    assert statistics.holm([0.03]).tolist() == [0.03]
    assert statistics.holm([]).tolist() == []


def test_holm_does_not_depend_on_the_order() -> None:
    p = np.random.default_rng(0).random(7) ** 3
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_allclose(statistics.holm(p)[order], statistics.holm(p[order]))


def test_holm_keeps_the_rate_of_any_false_claim() -> None:
    p = np.random.default_rng(2).random((4000, 6))
    wrong = np.mean([(statistics.holm(row) < 0.05).any() for row in p])
    assert 0.03 < wrong < 0.06
    assert (p < 0.05).any(axis=1).mean() > 0.2, "uncorrected, a quarter of the families claim something"


def test_what_could_not_be_tested_stays_unknown_and_counts() -> None:
    adjusted = statistics.holm([0.02, np.nan, 0.01])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.04, 0.03])
    assert np.isnan(adjusted[1])
    assert np.isnan(statistics.all_of([0.01, np.nan]))


def test_a_claim_of_all_takes_the_largest() -> None:
    assert statistics.all_of([0.001, 0.2, 0.03]) == 0.2
    with pytest.raises(AnalysisError, match="no contrasts"):
        statistics.all_of([])
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        statistics.holm([1.2])
