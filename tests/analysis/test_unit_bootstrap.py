"""Means of resampled units against the textbook variance."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech.analysis import AnalysisError
from iclmech.analysis.statistics import unit_halves, unit_means


def test_units_are_drawn_whole():
    """The spread is that of a mean of ten sets, not of a hundred queries."""
    sets = np.arange(10.0)
    found = unit_means(np.repeat(sets, 10), np.repeat(np.arange(10), 10), n_boot=4000)
    assert found.std() == pytest.approx(sets.std() / 10**0.5, rel=0.05)
    assert found.mean() == pytest.approx(4.5, abs=0.1)


def test_queries_of_a_single_set_are_units():
    values = np.arange(100.0)
    found = unit_means(values, np.zeros(100), n_boot=4000)
    assert found.std() == pytest.approx(values.std() / 10, rel=0.05)


def test_larger_units_weigh_more_and_nan_stays():
    found = unit_means(np.array([[1.0, np.nan], [1.0, 0.0], [4.0, 0.0]]), [3, 3, 9], n_boot=200)
    assert set(np.unique(found[:, 0]).round(6)) <= {1.0, 2.0, 4.0}
    assert np.isnan(found[:, 1]).any()


def test_halves_share_no_unit():
    units = np.array([4, 4, 8, 8, 9])
    first, second = unit_halves(units)
    assert not set(units[first]) & set(units[second])
    assert (first | second).all()


def test_another_number_of_units_is_refused():
    with pytest.raises(AnalysisError, match="2 queries and units of 1"):
        unit_means([1.0, 2.0], [0])
