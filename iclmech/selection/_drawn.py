"""Examples drawn by chance: for annotation once, for retrieval anew for every query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iclmech._base import PromptError, np_rng
from iclmech.tasks import Example, Query


class Random:
    """k examples drawn for each query: the chance level of every retrieval.

    `build_prompts(selection="random")` draws *one* context for all queries; here, as under `KNN`, each has its own.

    Args:
        rows: training examples that may be drawn; all by default.

    >>> from iclmech.tasks import Example
    >>> sorted(Random().pool([Example({"text": t}, 0) for t in "abc"], 3, seed=1))
    [0, 1, 2]
    """

    name = "random"

    def __init__(self, rows: Sequence[int] | None = None):
        self.rows = None if rows is None else [int(row) for row in rows]

    def pool(self, train: Sequence[Example], size: int, seed: int = 0) -> list[int]:
        """`size` rows to annotate; those of a smaller size come first."""
        return self._ordered(train, np_rng(seed, "annotated"))[:size]

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        """k rows drawn for this query."""
        return self._ordered(train, np_rng(seed, f"demonstrations of query {query.index}"))[:k]

    def _ordered(self, train: Sequence[Example], generator: np.random.Generator) -> list[int]:
        rows = range(len(train)) if self.rows is None else self.rows
        return [int(rows[i]) for i in generator.permutation(len(rows))]


class Balanced(Random):
    """As `Random`, as many of each class as can be, the classes in random order in each round.

    Where it annotates, it looks at labels that an annotator would not have yet: a bound, not a method.

    >>> from iclmech.tasks import Example
    >>> train = [Example({"text": t}, y) for t, y in zip("abcd", (0, 0, 0, 1))]
    >>> sorted(train[row].label for row in Balanced().pool(train, 2))
    [0, 1]
    """

    name = "balanced"

    def _ordered(self, train: Sequence[Example], generator: np.random.Generator) -> list[int]:
        rows = super()._ordered(train, generator)
        labels = [train[row].label for row in rows]
        if any(label is None for label in labels):
            raise PromptError("Balanced: these examples have free-text answers, no classes to balance; use Random.")
        rounds = [labels[:i].count(label) for i, label in enumerate(labels)]
        return [row for _, _, row in sorted(zip(rounds, range(len(rows)), rows, strict=True))]
