"""Which rows become demonstrations: drawn by name, or chosen for each query by an object of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from iclmech._base import PromptError, digest

from ._prompt_parts import Query
from ._records import Example

Selection = Literal["random", "balanced"]


@runtime_checkable
class Selector(Protocol):
    """Chooses demonstrations for one query at a time. A function with the arguments of `choose` serves as well.

    Its `name`, where it has one, is what results call it.

    Example:
        >>> class Longest:
        ...     def choose(self, train, query, k, seed):
        ...         return sorted(range(len(train)), key=lambda row: -len(train[row].text))[:k]
        >>> isinstance(Longest(), Selector)
        True
    """

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> Sequence[int]:
        """Up to `k` different rows of `train`, in the order in which they are to stand in the prompt.

        Args:
            train: the training examples.
            query: with tokens, text, and row number (`index`), and without its answer.
            k: how many; after rows that cannot be used (too long, or the query itself) it is called again with a larger `k`,
                and with a smaller one where the window takes fewer.
            seed: that of `build_prompts`.
        """
        ...


Choose = Callable[[Sequence[Example], Query, int, int], Sequence[int]]
"""A selector as a plain function."""

RowNumbers = Sequence[int] | Sequence[Sequence[int]]
"""Rows of the training examples: the same for every query, or a list for each query in its order."""


class GivenRows:
    """Demonstrations by row number. `build_prompts(selection=[3, 1, 2])` means the same.

    Args:
        rows: row numbers of the training examples in the order in which they are to stand, the same for all queries; or one such
            list for each query. Of more than k the last ones are taken, which stand next to the query.

    Example:
        >>> import iclmech as icl
        >>> model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
        >>> prompts = icl.build_prompts(model, task, k=2, n_queries=2, selection=[[5, 6], [8, 7]])
        >>> [[d.index for d in context.demonstrations] for context in prompts.contexts]
        [[5, 6], [8, 7]]
    """

    name = "given rows"

    def __init__(self, rows: RowNumbers):
        self.rows = list(rows)

    @property
    def hash(self) -> str:
        """Of the row numbers."""
        return digest(self.rows)

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        """The rows of this query: its number is that of its context."""
        each: Any = self.rows
        if self.rows and isinstance(self.rows[0], Sequence):
            if query.context >= len(self.rows):
                raise PromptError(
                    f"got rows for {len(self.rows)} queries and a query number {query.context}; expected a list for each. "
                    "Give more lists, or a smaller n_queries."
                )
            each = self.rows[query.context]
        return [int(row) for row in each][-k:]


def selection_name(selection: str | Selector | Choose) -> str:
    """What results call a selection: its name, else that of its class or function."""
    if isinstance(selection, str):
        return selection
    return str(getattr(selection, "name", None) or getattr(selection, "__name__", type(selection).__name__))


def choose(
    selector: Selector | Choose,
    train: Sequence[Example],
    query: Query,
    k: int,
    seed: int,
    usable: Callable[[int], bool],
) -> list[int]:
    """Up to `k` usable rows in the selector's order; where some of its rows are not, it is asked for more.

    Raises:
        PromptError: what it gives are no different row numbers, or too many or none.
    """
    blind = replace(query, label=None, target_tokens=None)
    asked = min(k, len(train))
    while asked:
        rows = _chosen(selector, train, blind, asked, seed)
        kept = [row for row in rows if usable(row)]
        if len(kept) >= k or len(rows) < asked or asked == len(train):
            return kept[:k]
        asked = min(len(train), asked + k - len(kept))
    return []


def _chosen(selector: Selector | Choose, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
    function: Any = getattr(selector, "choose", selector)
    rows = list(function(train, query, k, seed))
    numbers = [int(row) for row in rows if hasattr(row, "__index__") and 0 <= int(row) < len(train)]
    if len(set(numbers)) < len(rows) or not 0 < len(rows) <= k:
        raise PromptError(
            f"the selection {selection_name(selector)!r} gave the rows {rows[:12]} for query {query.index}; expected 1 to {k} different "
            f"row numbers from 0 to {len(train) - 1}, in the order in which they are to stand in the prompt. Correct its choose()."
        )
    return numbers


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
