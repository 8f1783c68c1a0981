"""Labels permuted among demonstrations so that they keep exactly what a labelling independent of the inputs keeps.

One random permutation of few classes keeps, or inverts, most of the mapping by luck. Here the table of old against new
classes is held at what independence gives, n_c·n_c′/k, rounded at random, so every draw is about as wrong as every other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from iclmech._base import np_rng

Label = TypeVar("Label", bound=Hashable)
_TRIES = 50  # before a labelling that was drawn already is drawn again


def permuted_labels(
    labels: Sequence[Label], n: int, seed: int, *, stream: str = "", derange: bool = False
) -> list[list[Label]]:
    """`n` permutations of labels: different ones, none the true one, as far as there are so many.

    With n_c labels of class c among k, a draw hands n_c·n_c′/k of them to inputs of class c′, rounded at random to one of the two
    nearest numbers such that rows and columns still add up and every cell has that mean (Cox, *A Constructive Procedure
    for Unbiased Controlled Rounding*, JASA 82, 1987). The mean share of labels kept is Σ n_c²/k². Draw i is the same for every `n`.

    Args:
        labels: one for each demonstration.
        n: how many draws.
        seed: where they come from, together with
        stream: a name; draws of different streams have nothing to do with each other.
        derange: where all labels differ, move them in one random cycle, which keeps none. (Their table would keep one on average.)

    Example:
        >>> permuted_labels("aabb", 2, seed=0)
        [['b', 'a', 'b', 'a'], ['a', 'b', 'b', 'a']]
        >>> sorted(permuted_labels("xyz", 2, seed=0, derange=True))
        [['y', 'z', 'x'], ['z', 'x', 'y']]
    """
    cyclic = derange and len(set(labels)) == len(labels)
    made: list[list[Label]] = []
    for i in range(n):
        generator = np_rng(seed, f"permuted labels {stream} {i}")
        drawn = list(labels)
        for _ in range(_TRIES):
            new = _cycle(labels, generator) if cyclic else _draw(labels, generator)
            if new != list(labels):
                drawn = new
                if new not in made:
                    break
        made.append(drawn)
    return made


def share_kept(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Share of places whose label is the same before and after; 1 where there are none.

    >>> share_kept("aabb", "abab")
    0.5
    """
    same = [one == other for one, other in zip(before, after, strict=True)]
    return sum(same) / len(same) if same else 1.0


def _cycle(labels: Sequence[Label], generator: np.random.Generator) -> list[Label]:
    order = [int(i) for i in generator.permutation(len(labels))]
    made = list(labels)
    for here, there in zip(order, [*order[1:], *order[:1]], strict=True):
        made[here] = labels[there]
    return made


def _draw(labels: Sequence[Label], generator: np.random.Generator) -> list[Label]:
    classes = list(dict.fromkeys(labels))
    counts = [sum(label == c for label in labels) for c in classes]
    table = _rounded([[a * b for b in counts] for a in counts], len(labels), generator)
    made = list(labels)
    for c, row in zip(classes, table, strict=True):
        places = [i for i, label in enumerate(labels) if label == c]
        new = [other for other, count in zip(classes, row, strict=True) for _ in range(count)]
        for place, j in zip(places, generator.permutation(len(new)), strict=True):
            made[place] = new[int(j)]
    return made


def _rounded(table: list[list[int]], k: int, generator: np.random.Generator) -> list[list[int]]:
    """Every cell, in units of 1/k, rounded up or down with its own value as the mean; sums of rows and columns stay.

    While a cell is no whole number there is a closed path through such cells that turns in each between row and column. One
    step moves its cells up and down in turn, by as much as brings one of them to a whole number, in either direction, with
    chances that leave every mean where it was.
    """
    table = [list(row) for row in table]
    while (path := _closed_path(table, k)) is not None:
        up = [table[r][c] % k for r, c in path[::2]]
        down = [table[r][c] % k for r, c in path[1::2]]
        rise, fall = min(*(k - x for x in up), *down), min(*up, *(k - x for x in down))
        step = rise if generator.random() < fall / (rise + fall) else -fall
        for place, (r, c) in enumerate(path):
            table[r][c] += -step if place % 2 else step
    return [[cell // k for cell in row] for row in table]


def _closed_path(table: list[list[int]], k: int) -> list[tuple[int, int]] | None:
    """Cells that are no whole numbers, each in the row or the column of the one before, in turn, and the last with the first."""
    rows = range(len(table))
    first = next(((r, c) for r in rows for c in rows if table[r][c] % k), None)
    if first is None:
        return None
    path = [first]
    while True:
        r, c = path[-1]
        within_row = len(path) % 2 == 1
        steps = ((r, other) for other in rows) if within_row else ((other, c) for other in rows)
        path.append(next(x for x in steps if x != (r, c) and table[x[0]][x[1]] % k))
        line = 1 if within_row else 0  # the step after this one stays in this coordinate
        for start in range(len(path) - 2, -1, -2):
            if path[start][line] == path[-1][line]:
                return path[start:]
