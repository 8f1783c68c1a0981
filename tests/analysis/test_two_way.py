"""The two-way interval: against the textbook's sums, against its promise by simulation, and where it must not be certain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from iclmech.analysis import AnalysisError, statistics
from iclmech.analysis.statistics import two_way_interval

MIXTURES = {  # standard deviations of seeds, queries and residual
    "as SimAOU of icl-mini": (0.073, 0.046, 0.044),
    "seeds and queries alike": (0.03, 0.046, 0.044),
    "mostly residual": (0.05, 0.1, 0.2),
    "no query effect": (0.05, 0.0, 0.2),
    "no seed effect": (0.0, 0.1, 0.2),
    "little seed effect": (0.02, 0.1, 0.2),
    "all alike": (0.1, 0.1, 0.1),
    "residual alone": (0.0, 0.0, 0.2),
}
DRAWS, QUERIES = 4000, 64


def textbook(y: np.ndarray) -> tuple[float, float, float]:
    """(mean, variance of the mean, degrees of freedom) of a full table, in plain loops."""
    s, q = y.shape
    mean = y.mean()
    ms_s = q * sum((y[i].mean() - mean) ** 2 for i in range(s)) / (s - 1)
    ms_q = s * sum((y[:, j].mean() - mean) ** 2 for j in range(q)) / (q - 1)
    rest = [(y[i, j] - y[i].mean() - y[:, j].mean() + mean) ** 2 for i in range(s) for j in range(q)]
    ms_e = sum(rest) / ((s - 1) * (q - 1))
    top = max(ms_s + ms_q - ms_e, ms_s, ms_q)
    if top == ms_s + ms_q - ms_e:
        df = top**2 / (ms_s**2 / (s - 1) + ms_q**2 / (q - 1) + ms_e**2 / ((s - 1) * (q - 1)))
    else:
        df = s - 1 if top == ms_s else q - 1
    return mean, top / (s * q), max(df, 1)


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_a_full_table_gives_the_mean_squares_of_the_textbook(mixture: tuple[float, float, float]) -> None:
    generator = np.random.default_rng(1)
    seed, query, rest = mixture
    for _ in range(5):
        y = 0.3 + seed * generator.normal(size=(4, 1)) + query * generator.normal(size=(1, 9))
        y = y + rest * generator.normal(size=(4, 9))
        found = two_way_interval(y, level=0.9)
        mean, variance, df = textbook(y)
        low, high = stats.t.interval(0.9, df, loc=mean, scale=np.sqrt(variance))
        np.testing.assert_allclose([found.mean, found.se**2, found.df], [mean, variance, df], rtol=1e-9)
        np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-9)
        assert found.p == pytest.approx(2 * stats.t.sf(abs(mean) / np.sqrt(variance), df))
        assert found.claims


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
def test_the_interval_holds_the_truth_as_often_as_it_says(mixture: tuple[float, float, float]) -> None:
    generator = np.random.default_rng(0)
    seed, query, rest = mixture
    for n, least in ((3, 0.90), (5, 0.925), (10, 0.925)):
        y = seed * generator.normal(size=(n, 1, DRAWS)) + query * generator.normal(size=(1, QUERIES, DRAWS))
        y += rest * generator.normal(size=(n, QUERIES, DRAWS))
        found = two_way_interval(y)
        covered = np.mean((found.low <= 0) & (found.high >= 0))
        assert least <= covered < 0.985, (n, covered)
        assert abs(np.mean(found.p < 0.05) - (1 - covered)) < 1e-9


@pytest.mark.parametrize("p", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
@pytest.mark.parametrize("shared", [True, False], ids=["the same answers in all seeds", "fresh answers"])
def test_intervals_of_shares_hold_near_nought_and_one(p: float, shared: bool) -> None:
    generator = np.random.default_rng(2)
    right = (generator.random((1 if shared else 5, QUERIES, DRAWS)) < p) * np.ones((5, 1, 1))
    found = two_way_interval(right, binary="share")
    assert np.mean((found.low <= p) & (found.high >= p)) >= 0.93
    assert found.low.min() >= 0
    assert found.high.max() <= 1
    assert np.all((found.low <= found.mean) & (found.mean <= found.high))
    np.testing.assert_allclose(found.mean, right.mean(axis=(0, 1)), err_msg="the estimate is the raw mean")


@pytest.mark.parametrize(("binary", "pads"), [("share", [1, 1, 0, 0]), ("difference", [1, -1])])
def test_pseudo_queries_are_equal_in_all_seeds_and_do_not_move_the_mean(binary: str, pads: list[int]) -> None:
    y = (np.random.default_rng(12).random((4, 15)) < 0.8).astype(float)
    found, padded = two_way_interval(y, binary=binary), two_way_interval(np.hstack([y, np.tile(pads, (4, 1))]))
    for name in ("se", "df", "p"):
        assert getattr(found, name) == pytest.approx(getattr(padded, name)), name
    assert found.low == pytest.approx(padded.low)
    assert found.mean == pytest.approx(y.mean())
    assert found.kept == 1


def test_nested_shares_hold_near_one_as_well() -> None:
    generator = np.random.default_rng(3)
    right = (generator.random((5, QUERIES, DRAWS)) < 0.98).astype(float)
    found = two_way_interval(right, kind="nested", binary="share")
    assert np.mean((found.low <= 0.98) & (found.high >= 0.98)) >= 0.93
    every = two_way_interval(np.ones((5, QUERIES)), kind="nested", binary="share")
    assert 0.9 < every.low < 1
    assert every.high == 1


def test_differences_of_shares_stay_within_their_range() -> None:
    difference = np.zeros((3, 20))
    found = two_way_interval(difference, binary="difference")
    assert found.mean == 0
    assert (
        -0.3 < found.low < 0 < found.high < 0.3
    )  # nothing changed on twenty queries, which is not "nothing ever will"
    assert found.p == pytest.approx(1)
    always = two_way_interval(np.ones((3, 20)), binary="difference")
    assert always.high == 1
    assert 0.5 < always.low < 1
    assert always.p < 1e-4


def test_nested_is_students_t_over_seed_means() -> None:
    y = np.random.default_rng(4).normal(size=(6, 10))
    y[0, :4] = np.nan
    means = np.nanmean(y, axis=1)
    found = two_way_interval(y, kind="nested")
    expected = stats.t.interval(0.95, 5, loc=means.mean(), scale=stats.sem(means))
    np.testing.assert_allclose([found.mean, found.low, found.high], [means.mean(), *expected])
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


@pytest.mark.parametrize("value", [0.1, 1.0, 0.0, -1 / 3])
@pytest.mark.parametrize("kind", ["crossed", "nested"])
def test_a_constant_answer_gives_no_certainty(value: float, kind: str) -> None:
    found = two_way_interval(np.full((3, 7), value), kind=kind)
    assert found.mean == pytest.approx(value)
    assert np.isnan([found.low, found.high, found.se, found.p]).all()
    assert not found.claims


def test_a_model_that_answers_one_word_is_not_certain_of_its_accuracy() -> None:
    gold = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 0] * 3)
    right = np.tile(gold == 0, (5, 1)).astype(float)  # the same in all seeds: Student over seeds has no width
    seeds, _ = statistics.seed_spread(right.mean(axis=1))
    assert seeds.high - seeds.low < 1e-12
    found = two_way_interval(right, binary="share")
    assert found.high - found.low > 0.25


def test_incomplete_queries_are_dropped() -> None:
    y = np.random.default_rng(5).normal(size=(3, 20)) + 1
    y[1, 4], y[0, 7] = np.nan, np.nan
    found, full = two_way_interval(y), two_way_interval(np.delete(y, [4, 7], axis=1))
    assert found.kept == pytest.approx(0.9)
    for name in ("mean", "low", "high", "se", "df", "p"):
        assert getattr(found, name) == pytest.approx(getattr(full, name)), name


def test_below_four_fifths_all_cells_count_and_signs_must_agree() -> None:
    generator = np.random.default_rng(6)
    y = 0.5 + generator.normal(size=(4, 1, 1)) * 0.1 + generator.normal(size=(4, 40, 2)) * 0.1
    y[0, :15] = np.nan
    y[:, 15:, 1] -= 0.6  # in the second column the complete queries say no, and all cells together say yes
    y[1:, :15, 1] += 0.9
    found = two_way_interval(y)
    assert found.kept.tolist() == [25 / 40, 25 / 40]
    np.testing.assert_allclose(found.mean, np.nanmean(y, axis=(0, 1)))
    assert found.low[0] < 0.5 < found.high[0]
    assert np.sign(found.mean[1]) != np.sign(y[:, 15:, 1].mean())
    assert found.claims.tolist() == [True, False]


def test_the_unbalanced_interval_covers_too() -> None:
    generator = np.random.default_rng(7)
    y = 0.1 * generator.normal(size=(5, 1, 1000)) + 0.1 * generator.normal(size=(1, 40, 1000))
    y += 0.1 * generator.normal(size=(5, 40, 1000))
    y[generator.random(y.shape) < 0.15] = np.nan
    found = two_way_interval(y)
    assert found.kept.max() < 0.8
    assert np.mean((found.low <= 0) & (found.high >= 0)) >= 0.92


def test_a_seed_without_any_value_is_left_out_and_counted() -> None:
    y = np.random.default_rng(8).normal(size=(4, 12))
    y[2] = np.nan
    found, rest = two_way_interval(y), two_way_interval(np.delete(y, 2, axis=0))
    assert found.n_seeds == 3
    assert found.low == pytest.approx(rest.low)


@pytest.mark.parametrize("binary", [None, "share"])
def test_fewer_than_three_seeds_carry_no_claim(binary: str | None) -> None:
    y = np.random.default_rng(9).integers(0, 2, size=(2, 30)).astype(float)
    for n in (1, 2):
        found = two_way_interval(y[:n], binary=binary)
        assert found.low < found.mean < found.high
        assert not found.claims
        assert found.n_seeds == n
    alone = two_way_interval(y[:1])
    expected = stats.t.interval(0.95, 29, loc=y[0].mean(), scale=stats.sem(y[0]))
    np.testing.assert_allclose([alone.low, alone.high], expected, err_msg="with one seed only queries vary")


def test_layers_and_heads_at_once_equal_one_by_one() -> None:
    y = np.random.default_rng(10).normal(size=(3, 15, 4, 2))
    y[0, :2, 1, 0] = np.nan
    y[0, :9, 2, 1] = np.nan
    y[..., 3, 1] = np.nan
    whole = two_way_interval(y)
    for where in np.ndindex(4, 2):
        single = two_way_interval(y[:, :, *where])
        for name in whole._fields:
            np.testing.assert_allclose(getattr(whole, name)[where], getattr(single, name), err_msg=name)
    assert np.isnan(whole.mean[3, 1])
    assert not whole.claims[3, 1]


def test_limits_and_null() -> None:
    y = 0.9 + 0.3 * np.random.default_rng(11).normal(size=(2, 8))
    wide = two_way_interval(y)
    assert wide.high > 1
    cut = two_way_interval(y, limits=(-1.0, 1.0), null=0.9)
    assert cut.high == 1
    assert cut.low == max(wide.low, -1)
    assert cut.p > wide.p


def test_paired_differences_use_cells_valid_on_both_sides() -> None:
    a, b = np.array([[1.0, 0, np.nan, 1]]), np.array([[0.0, 0, 1, np.nan]])
    np.testing.assert_array_equal(statistics.paired_difference(a, b), [[1, 0, np.nan, np.nan]])
    # conditional shares over different queries: the difference of means is 1/3, of the shared queries 1/2
    assert np.nanmean(a) - np.nanmean(b) == pytest.approx(1 / 3)
    assert two_way_interval(statistics.paired_difference(a, b), binary="difference").mean == pytest.approx(0.5)
    with pytest.raises(AnalysisError, match="same seeds and queries"):
        statistics.paired_difference(a, b[:, :2])


def test_bad_input_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"\(3,\).*seed, query"):
        two_way_interval(np.ones(3))
    with pytest.raises(AnalysisError, match=r"level 2\.0"):
        two_way_interval(np.ones((2, 3)), level=2.0)
    with pytest.raises(AnalysisError, match="values up to 3"):
        two_way_interval(np.full((2, 3), 3.0), binary="share")
    with pytest.raises(AnalysisError, match="'crossed'"):
        two_way_interval(np.ones((2, 3)), kind="both")
    with pytest.raises(AnalysisError, match="'share'"):
        two_way_interval(np.ones((2, 3)), binary="rate")
