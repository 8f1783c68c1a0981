"""From prompts to rows: which tokens are run in which setting, and which positions are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from iclmech._base import CaptureError
from iclmech.tasks import Context, PromptSet, Query

from ._run_rows import Row

Setting = Literal["zs", "icl"]
Position = Literal["prediction", "label", "forerunners", "labels"] | Callable[[Query, Context], int]
DEMONSTRATION_POSITIONS = ("forerunners", "labels")


@dataclass(frozen=True)
class Group:
    """Rows that share a prefix. `queries`: index in the prompt set of the query each row belongs to.

    `numbers`: for every query of the prompt set, its index in the set that this one was cut from.
    """

    prefix: list[int]
    rows: list[Row]
    queries: list[int]
    context: int
    numbers: Sequence[int]


def query_groups(
    prompts: PromptSet, setting: Setting, position: Position, numbers: Sequence[int] | None = None
) -> Iterator[Group]:
    """One group per context that has queries: BOS or the context, then the queries' own tokens.

    `numbers`: what each query is called in the set that `prompts` was cut from.
    """
    numbers = range(len(prompts.queries)) if numbers is None else numbers
    for number, context in enumerate(prompts.contexts):
        mine = [j for j, query in enumerate(prompts.queries) if query.context == number]
        if mine:
            rows = [replace(_query_row(prompts.queries[j], context, position), query=numbers[j]) for j in mine]
            yield Group(prefix_of(prompts, context, setting), rows, mine, number, numbers)


def prefix_of(prompts: PromptSet, context: Context, setting: Setting) -> list[int]:
    """What stands before a query: the demonstrations under "icl", BOS alone under "zs"."""
    return list(context.tokens) if setting == "icl" else [prompts.bos]


def _query_row(query: Query, context: Context, position: Position) -> Row:
    """Recorded at the position asked for and, where that is another one, at the prediction position (last)."""
    prediction = len(query.tokens) - 1
    if position == "prediction":
        return Row(query.tokens, (prediction,))
    if callable(position):
        return Row(query.tokens, (position(query, context), prediction))
    if not context.label_tokens:
        raise CaptureError("position='label' needs label words, and this task has none; use position='prediction'.")
    return Row([*query.tokens, context.label_tokens[0][0]], (prediction + 1, prediction))


def demonstration_row(context: Context, position: str) -> Row:
    """The context without its BOS as one row, recorded at every demonstration's forerunner or first label token."""
    shift = 0 if position == "labels" else -1
    at = tuple(d.context_start + d.label_span[0] - 2 + shift for d in context.demonstrations)
    return Row(context.tokens[1:], at)


@dataclass(frozen=True)
class Continuation:
    """A query followed by all but the last token of a longer label word (or target): where the rest of it is scored."""

    query: int
    label: int  # column of the label scores, or -1 for the target
    targets: list[int]  # the tokens scored, at the row's recorded positions


def continuations(group: Group, prompts: PromptSet) -> Iterator[tuple[Row, Continuation]]:
    """A row for every label word (and free-text target) of more than one token."""
    words = prompts.contexts[group.context].label_tokens
    for j in group.queries:
        query = prompts.queries[j]
        answers: list[tuple[int, Sequence[int]]] = list(enumerate(words))
        if not words and query.target_tokens:
            answers.append((-1, query.target_tokens))
        for label, tokens in answers:
            if len(tokens) > 1:
                at = tuple(range(len(query.tokens), len(query.tokens) + len(tokens) - 1))
                yield Row([*query.tokens, *tokens[:-1]], at, group.numbers[j]), Continuation(j, label, list(tokens[1:]))
