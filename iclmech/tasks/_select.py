"""Which rows become demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

Selection = Literal["random", "balanced"]


def select(
    labels: Sequence[int | None],
    k: int,
    generator: np.random.Generator,
    selection: Selection,
    usable: Callable[[int], bool],
) -> list[int]:
    """Up to `k` different usable rows in random order.

    `"random"`: uniformly; the first rows of a larger k are those of a smaller one. `"balanced"`: round by round one row of
    each class, the classes in random order in each round, so that every beginning of the list is as balanced as can be; a
    class that has run out is passed over.
    """
    if selection == "random":
        return _take([int(i) for i in generator.permutation(len(labels))], k, usable)
    classes = sorted({label for label in labels if label is not None})
    queues = {
        c: [int(i) for i in generator.permutation(np.flatnonzero([label == c for label in labels]))] for c in classes
    }
    rows: list[int] = []
    while len(rows) < k and any(queues.values()):
        for c in [classes[int(i)] for i in generator.permutation(len(classes))]:
            while queues[c]:
                row = queues[c].pop()
                if usable(row):
                    rows.append(row)
                    break
    return rows[:k]


def _take(order: Sequence[int], k: int, usable: Callable[[int], bool]) -> list[int]:
    rows: list[int] = []
    for row in order:
        if len(rows) == k:
            break
        if usable(row):
            rows.append(row)
    return rows
