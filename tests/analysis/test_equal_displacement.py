"""Two procedures at one displacement: between rates, at a rate, and never beyond what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech.analysis import AnalysisError, statistics


def curve(*values: float) -> np.ndarray:
    """One seed, one query, one layer, these values along the rates."""
    return np.array(values, dtype=float).reshape(1, 1, -1, 1)


def test_the_farther_one_is_read_between_its_rates() -> None:
    near, far = curve(0.1, 0.2, 0.3), curve(0.05, 0.15, 0.45, 0.6)
    found = statistics.at_equal_displacement((near, far), (curve(0.5, 0.6, 0.7), curve(0.2, 0.4, 1.0, 0.3)), (1, 3))
    assert found.at.item() == pytest.approx(0.2)
    assert found.first.item() == pytest.approx(0.6)
    assert found.second.item() == pytest.approx(0.4 + (0.05 / 0.3) * 0.6)
    assert found.difference.item() == pytest.approx(0.6 - 0.5)


def test_two_procedures_on_one_curve_do_not_differ_at_other_rates() -> None:
    """A similarity that is a function of displacement alone gives no contrast, whatever the chosen rates are."""
    generator = np.random.default_rng(0)
    d1, d2 = (np.sort(generator.random((4, 6, 9, 3)), axis=2) for _ in range(2))
    found = statistics.at_equal_displacement((d1, d2), (0.3 * d1 + 0.1, 0.3 * d2 + 0.1), (5, 3))
    assert found.difference.shape == (4, 6, 3)
    seen = ~np.isnan(found.difference)
    assert seen.mean() > 0.8
    np.testing.assert_allclose(found.difference[seen], 0, atol=1e-12)
    assert np.abs((0.3 * d1)[:, :, 5] - (0.3 * d2)[:, :, 3]).mean() > 0.02, "at the chosen rates they do"


def test_nothing_is_extrapolated() -> None:
    low, high = curve(0.01, 0.02), curve(0.5, 0.6)
    found = statistics.at_equal_displacement((low, high), (low, high), (1, 0))
    assert found.at.item() == 0.02
    assert found.first.item() == 0.02
    assert np.isnan(found.second.item())
    assert np.isnan(found.difference.item())


def test_rates_that_were_refused_hold_no_values() -> None:
    d = curve(0.1, np.nan, 0.5)
    found = statistics.at_equal_displacement((curve(0.3, 0.4), d), (curve(1, 2), curve(5, np.nan, 6)), (0, 2))
    assert np.isnan(found.second.item()), "no line across a rate that was left out"


def test_a_curve_that_turns_back_is_read_at_its_smallest_rate() -> None:
    there_and_back = curve(0.1, 0.3, 0.1, 0.6)
    found = statistics.at_equal_displacement(
        (curve(0.1, 0.2), there_and_back), (curve(0, 0), curve(1, 2, 7, 9)), (1, 3)
    )
    assert found.second.item() == pytest.approx(1.5)


def test_displacements_may_be_means_over_queries() -> None:
    d = np.array([0.1, 0.2, 0.4]).reshape(1, 3, 1)
    s = np.arange(6.0).reshape(1, 2, 3, 1)
    found = statistics.at_equal_displacement((d, d), (s, 2 * s), (1, 2))
    assert found.first.ravel().tolist() == [1, 4]
    assert found.second.ravel().tolist() == [2, 8]


def test_bad_shapes_are_refused() -> None:
    d = curve(0.1, 0.2)
    with pytest.raises(AnalysisError, match="seed, query, rate"):
        statistics.at_equal_displacement((d, d), (curve(1, 2, 3), d), (0, 0))
    with pytest.raises(AnalysisError, match="axis of 2 rates"):
        statistics.at_equal_displacement((d, d), (d, d), (0, 2))
    with pytest.raises(AnalysisError, match="on both sides"):
        statistics.at_equal_displacement((d, np.repeat(d, 2, 0)), (d, np.repeat(d, 2, 0)), (0, 0))
