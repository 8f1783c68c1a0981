from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from iclmech.tasks import permuted_labels, share_kept

COUNTS = [(5, 5), (7, 3), (4, 3, 3), (6, 5, 1), (2, 2, 1, 1, 1), (9, 8, 7, 6, 2)]


def of_counts(counts: tuple[int, ...]) -> list[int]:
    return [c for c, count in enumerate(counts) for _ in range(count)]


def table(before: list[int], after: list[int], n: int) -> np.ndarray:
    made = np.zeros((n, n))
    np.add.at(made, (before, after), 1)
    return made


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=24), st.integers(0, 10**6))
def test_every_table_is_the_expected_one_rounded_with_exact_sums(labels: list[int], seed: int) -> None:
    counts = np.bincount(labels, minlength=6)
    expected = np.outer(counts, counts) / len(labels)
    for drawn in permuted_labels(labels, 3, seed):
        made = table(labels, drawn, 6)
        assert (made.sum(0) == counts).all()
        assert (made.sum(1) == counts).all()
        assert (np.abs(made - expected) < 1).all()
        assert (made[expected == expected.round()] == expected[expected == expected.round()]).all()


@pytest.mark.parametrize("counts", COUNTS)
def test_the_means_are_those_of_independence(counts: tuple[int, ...]) -> None:
    labels, k = of_counts(counts), sum(counts)
    draws = [permuted_labels(labels, 1, seed)[0] for seed in range(1500)]
    tables = np.mean([table(labels, drawn, len(counts)) for drawn in draws], axis=0)
    assert tables == pytest.approx(np.outer(counts, counts) / k, abs=0.06)
    kept = np.mean([share_kept(labels, drawn) for drawn in draws])
    assert kept == pytest.approx(sum(n * n for n in counts) / k**2, abs=0.01)


@pytest.mark.parametrize("counts", [(8, 8), (4, 4, 4, 4)])
def test_no_draw_keeps_more_by_luck_where_a_free_permutation_would(counts: tuple[int, ...]) -> None:
    labels = of_counts(counts)
    held = {share_kept(labels, permuted_labels(labels, 1, seed)[0]) for seed in range(200)}
    free = {share_kept(labels, np.random.default_rng(seed).permutation(labels).tolist()) for seed in range(200)}
    assert held == {1 / len(counts)}
    assert len(free) > 4


def test_within_a_class_every_input_is_as_likely_to_change() -> None:
    labels = of_counts((6, 4, 2))
    changed = Counter(
        i for seed in range(1500) for i, new in enumerate(permuted_labels(labels, 1, seed)[0]) if new != labels[i]
    )
    for c, first, last in ((6, 0, 6), (4, 6, 10), (2, 10, 12)):
        for i in range(first, last):
            assert changed[i] / 1500 == pytest.approx(1 - c / 12, abs=0.05)


def test_draws_differ_from_the_truth_and_each_other_and_are_nested() -> None:
    labels = of_counts((4, 4))
    draws = permuted_labels(labels, 12, 3)
    assert len({tuple(drawn) for drawn in [*draws, labels]}) == 13
    assert permuted_labels(labels, 5, 3) == draws[:5]
    assert permuted_labels(labels, 5, 4) != draws[:5]
    assert permuted_labels(labels, 5, 3, stream="other") != draws[:5]


def test_where_there_are_too_few_labellings_they_repeat() -> None:
    assert permuted_labels(["a", "a"], 2, 0) == [["a", "a"]] * 2
    assert permuted_labels([], 2, 0) == [[], []]
    assert permuted_labels(["a", "b"], 3, 0) == [["b", "a"]] * 3  # rather than the true one
    assert permuted_labels(["a", "b"], 3, 0, derange=True) == [["b", "a"]] * 3


def test_derangements_keep_nothing_where_all_labels_differ() -> None:
    words = [f"w{i}" for i in range(7)]
    draws = permuted_labels(words, 60, 0, derange=True)
    assert {share_kept(words, drawn) for drawn in draws} == {0.0}
    assert all(sorted(drawn) == words for drawn in draws)
    goes = Counter(drawn[0] for drawn in permuted_labels(words, 600, 1, derange=True))
    assert set(goes) == set(words[1:])
    assert min(goes.values()) > 60  # a hundred expected
    again = [*words, "w0"]  # a repeated answer makes them classes
    assert permuted_labels(again, 3, 0, derange=True) == permuted_labels(again, 3, 0)


def test_share_kept() -> None:
    assert share_kept("abcd", "abdc") == 0.5
    assert share_kept([], []) == 1
