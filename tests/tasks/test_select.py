from __future__ import annotations

from collections import Counter

import numpy as np

from iclmech.tasks._select import Selection, select


def draw(
    labels: list[int | None], k: int, seed: int = 0, selection: Selection = "random", bad: set[int] | None = None
) -> list[int]:
    return select(labels, k, np.random.default_rng(seed), selection, lambda row: row not in (bad or set()))


def test_random_rows_are_nested_distinct_and_usable() -> None:
    labels: list[int | None] = [i % 2 for i in range(50)]
    rows = draw(labels, 20, bad={1, 2, 3})
    assert len(set(rows)) == 20
    assert not {1, 2, 3} & set(rows)
    assert draw(labels, 8, bad={1, 2, 3}) == rows[:8]
    assert draw(labels, 20, seed=1) != rows
    assert sorted(draw(labels, 99)) == list(range(50))


def test_every_row_is_as_likely() -> None:
    counts = Counter(row for seed in range(2000) for row in draw([None] * 10, 3, seed))
    assert min(counts.values()) > 500  # 600 expected, standard deviation 20
    assert max(counts.values()) < 700


def test_balanced_beginnings() -> None:
    labels: list[int | None] = [0] * 30 + [1] * 30 + [2] * 4
    rows = draw(labels, 30, selection="balanced", bad={0, 60})
    assert len(set(rows)) == 30
    for n in range(1, 10):
        counts = Counter(labels[row] for row in rows[:n])
        assert max(counts.values()) - min(counts.get(c, 0) for c in (0, 1, 2)) <= 1
    assert Counter(labels[row] for row in rows)[2] == 3  # the class that ran out is passed over
