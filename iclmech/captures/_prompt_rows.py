"""From prompts to rows: everything that a capture will run, planned before anything runs.

prompts ─► for every context: its queries                        (recorded where the capture wants, and at the end)
                              its queries + longer label words   (recorded where the rest of the words is scored)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from iclmech._base import CaptureError
from iclmech.tasks import Context, PromptSet, Query

from ._positions import Places
from ._run_rows import Row

Setting = Literal["zs", "icl"]


@dataclass(frozen=True)
class Continuation:
    """A query followed by all but the last token of a longer label word (or target): where the rest of it is scored."""

    query: int
    label: int  # column of the label scores, or -1 for the target
    targets: list[int]  # the tokens scored, at the row's recorded positions


@dataclass(frozen=True)
class Batch:
    """Rows behind one prefix, all recorded at equally many positions.

    `queries`: index in the prompt set of the query each row belongs to. `places`: how many of a row's positions are what the
    capture asked for; the prediction position, always the last, stands behind them. `answers`: for rows that score answers,
    what each scores.
    """

    prefix: list[int]
    first_position: int | None
    rows: list[Row]
    queries: list[int]
    places: list[int]
    answers: list[Continuation]


def plan(
    prompts: PromptSet,
    setting: Setting,
    places: Places,
    match_positions: bool = False,
    numbers: Sequence[int] | None = None,
) -> list[Batch]:
    """All batches of a capture, context by context: BOS or the context, then the queries' own tokens.

    `numbers`: what each query is called in the set that `prompts` was cut from.
    """
    numbers = range(len(prompts.queries)) if numbers is None else numbers
    batches: list[Batch] = []
    for number, context in enumerate(prompts.contexts):
        mine = [j for j, query in enumerate(prompts.queries) if query.context == number]
        if not mine:
            continue
        prefix = list(context.tokens) if setting == "icl" else [prompts.bos]
        first = len(context.tokens) if match_positions and setting == "zs" else None
        rows, counts = _query_rows(prompts, context, mine, places, numbers)
        batches.append(Batch(prefix, first, rows, mine, counts, []))
        for answers in _answer_rows(prompts, context, mine, numbers):
            rows, asked = [row for row, _ in answers], [asked for _, asked in answers]
            batches.append(Batch(prefix, first, rows, [one.query for one in asked], [], asked))
    return batches


def _query_rows(
    prompts: PromptSet, context: Context, mine: Sequence[int], places: Places, numbers: Sequence[int]
) -> tuple[list[Row], list[int]]:
    """Recorded at the places asked for, as many in every row as in the one with most, and at the prediction position."""
    queries = [prompts.queries[j] for j in mine]
    word = _label_token(context) if places.labelled else []
    found = [places.of_query(query, context) for query in queries]
    most = max(map(len, found))
    rows: list[Row] = []
    for j, query, at in zip(mine, queries, found, strict=True):
        prediction = len(query.tokens) - 1
        filled = (*at, *[prediction] * (most - len(at)), prediction)
        recorded = (prediction,) if places.names == ("prediction",) else filled
        rows.append(Row([*query.tokens, *word], recorded, numbers[j], len(word)))
    return rows, [len(at) for at in found]


def _label_token(context: Context) -> list[int]:
    if not context.label_tokens:
        raise CaptureError("position='label' needs label words, and this task has none; use position='prediction'.")
    return [context.label_tokens[0][0]]


def answers_of(query: Query, context: Context) -> Iterator[tuple[int, Sequence[int]]]:
    """(column of the label scores or -1, tokens) of every answer to a query that is scored."""
    if context.label_tokens:
        yield from enumerate(context.label_tokens)
    elif query.target_tokens:
        yield -1, query.target_tokens


def _answer_rows(
    prompts: PromptSet, context: Context, mine: Sequence[int], numbers: Sequence[int]
) -> list[list[tuple[Row, Continuation]]]:
    """A row for every label word (and free-text target) of more than one token, by number of tokens."""
    by_length: dict[int, list[tuple[Row, Continuation]]] = defaultdict(list)
    for j in mine:
        query = prompts.queries[j]
        for label, tokens in answers_of(query, context):
            more = len(tokens) - 1
            if more:
                at = tuple(range(len(query.tokens), len(query.tokens) + more))
                row = Row([*query.tokens, *tokens[:-1]], at, numbers[j], more)
                by_length[more].append((row, Continuation(j, label, list(tokens[1:]))))
    return list(by_length.values())
