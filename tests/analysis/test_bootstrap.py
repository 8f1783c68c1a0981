"""Means, intervals and contrasts: against scipy and against what a known spread must give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from iclmech.analysis import AnalysisError, statistics


def test_clusters_count_once_and_masked_entries_not_at_all() -> None:
    values = np.array([[1.0, 3.0, np.nan], [5.0, np.nan, np.nan]])
    assert statistics.clustered_mean(values) == pytest.approx(3.5)
    assert np.isnan(statistics.clustered_mean(np.full((2, 3), np.nan)))
    assert statistics.clustered_mean(np.stack([values, values + 1], -1)).tolist() == [3.5, 4.5]


def test_one_cluster_equals_the_bootstrap_of_scipy() -> None:
    sample = np.random.default_rng(0).normal(size=200)
    ours = statistics.clustered_bootstrap(sample[None], n_boot=4000)
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert ours.mean == pytest.approx(sample.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_coverage_with_effects_of_clusters_and_of_queries() -> None:
    """Ten demonstration sets, forty queries, both with effects of their own: the interval holds the truth about 95 times in 100."""
    generator = np.random.default_rng(0)
    hits = {True: 0, False: 0}
    n = 300
    for repeat in range(n):
        values = generator.normal(size=(10, 1)) + 2 * generator.normal(size=(1, 40)) + generator.normal(size=(10, 40))
        for crossed in (True, False):
            interval = statistics.clustered_bootstrap(values, n_boot=200, seed=repeat, crossed=crossed)
            hits[crossed] += bool(interval.low <= 0 <= interval.high)
    assert 0.90 <= hits[True] / n <= 1.0
    assert hits[False] < hits[True]  # drawing shared queries separately for every set is too sure of itself


def test_more_sets_are_worth_more_than_more_queries() -> None:
    generator = np.random.default_rng(1)

    def width(clusters: int, items: int) -> float:
        values = generator.normal(size=(clusters, 1)) + 0.1 * generator.normal(size=(clusters, items))
        interval = statistics.clustered_bootstrap(values)
        return float(interval.high - interval.low)

    assert width(40, 10) < 0.6 * width(4, 100)


def test_vectorised_equals_one_by_one() -> None:
    values = np.random.default_rng(2).normal(size=(3, 20, 4, 2))
    values[0, :5, 1, 0] = np.nan
    whole = statistics.clustered_bootstrap(values, n_boot=300)
    for where in np.ndindex(4, 2):
        single = statistics.clustered_bootstrap(values[:, :, *where], n_boot=300)
        for a, b in zip(whole, single, strict=True):
            assert a[where] == pytest.approx(b)


def test_contrasts_are_paired() -> None:
    generator = np.random.default_rng(3)
    query = 5 * generator.normal(size=(1, 100))
    a = query + 0.1 * generator.normal(size=(3, 100)) + 0.5
    b = query + 0.1 * generator.normal(size=(3, 100))
    contrast = statistics.paired_contrast(a, b)
    assert contrast.low < 0.5 < contrast.high
    assert contrast.high - contrast.low < 0.2
    alone = statistics.clustered_bootstrap(a)
    assert alone.high - alone.low > 1
    # replicates of two measures on the same queries can be subtracted
    difference = statistics.bootstrap_means(a) - statistics.bootstrap_means(b)
    np.testing.assert_allclose(difference, statistics.bootstrap_means(a - b), atol=1e-12)


def test_seeded_and_independent_of_global_state() -> None:
    values = np.random.default_rng(4).normal(size=(2, 30))
    np.random.seed(0)
    first = statistics.bootstrap_means(values, seed=1)
    np.random.seed(1)
    np.testing.assert_array_equal(first, statistics.bootstrap_means(values, seed=1))
    assert not np.array_equal(first, statistics.bootstrap_means(values, seed=2))


def test_masked_everywhere_gives_nan_without_a_warning() -> None:
    values = np.random.default_rng(5).normal(size=(2, 6, 3))
    values[..., 1] = np.nan
    values[:, 1:, 2] = np.nan
    interval = statistics.clustered_bootstrap(values)
    assert np.isnan(interval.mean).tolist() == [False, True, False]
    assert np.isnan(interval.low).tolist() == [False, True, False]


def test_spread_over_seeds_is_students() -> None:
    values = np.array([[0.1, np.nan], [0.3, 1.0], [0.2, np.nan]])
    interval, sd = statistics.seed_spread(values)
    expected = stats.t.interval(0.95, 2, loc=0.2, scale=stats.sem(values[:, 0]))
    assert interval.mean[0] == pytest.approx(0.2)
    assert (interval.low[0], interval.high[0]) == pytest.approx(expected)
    assert sd[0] == pytest.approx(0.1)
    assert interval.mean[1] == 1.0
    assert np.isnan(interval.low[1])


def test_bad_input_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"\(3,\).*cluster, item"):
        statistics.clustered_mean(np.ones(3))
    with pytest.raises(AnalysisError, match="same seeds and queries"):
        statistics.paired_contrast(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(AnalysisError, match=r"level 1\.5"):
        statistics.clustered_bootstrap(np.ones((2, 3)), level=1.5)
