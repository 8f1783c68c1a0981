"""How a kind of result is shown on a page: what was asked, and what a reader needs beside each figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iclmech._base import Result

from ._escape import shown

if TYPE_CHECKING:
    from pandas import DataFrame


class Table(NamedTuple):
    """A caption, a header and rows of texts; Jinja escapes them."""

    caption: str
    head: list[str]
    rows: list[list[str]]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and stand to the right."""
        return [_numbers([row[i] for row in self.rows]) for i in range(len(self.head))]


def _numbers(cells: list[str]) -> bool:
    return any(cells) and all(not c or c[0] in "0123456789−–-+[<" for c in cells)


class Caption(NamedTuple):
    """What stands beside a figure: its heading, what it shows for readers who cannot see it, and how it is read."""

    heading: str
    alt: str = ""
    how: str = ""


def usual_question(result: Result) -> str:
    """What the experiment asks, of which model and which task."""
    title = getattr(result.experiment, "title", "") or f"A result of {result.kind}."
    model, task = (name_of(result, key) for key in ("model", "task"))
    where = " on ".join(name for name in (model, task) if name)
    return f"{title} {where}".strip()


def name_of(result: Result, key: str) -> str:
    """The name of the model or the task of a result, as visible text; empty where there is none."""
    found = result.provenance.get(key)
    name = str(found.get("name", "")) if isinstance(found, Mapping) else ""
    return shown(PurePath(name).name if _is_path(name) else name)


def _is_path(name: str) -> bool:
    """A directory or file rather than a name on the hub, which has one slash, or of a shipped task."""
    return PurePath(name).is_absolute() or name.startswith(("./", "../", "~")) or name.count("/") > 1


def usual_tables(result: Result) -> list[Table]:
    """The claims, then the summary."""
    frames = {"Claims": result.claims(), "Summary": result.summary()}
    return tables_of({title: frame for title, frame in frames.items() if len(frame)})


def tables_of(frames: Mapping[str, DataFrame]) -> list[Table]:
    """Frames under their captions, cell by cell as visible text."""
    return [
        Table(title, [str(c) for c in frame.columns], [[cell(v) for v in row] for row in frame.itertuples(index=False)])
        for title, frame in frames.items()
    ]


def cell(value: Any) -> str:
    """A value as a cell of a table."""
    if isinstance(value, float | np.floating):
        return "–" if not np.isfinite(value) else f"{value:.3f}".replace("-", "−")
    return shown(value)


@dataclass(frozen=True)
class Page:
    """The page of a kind of result; every part has a usual form.

    Attributes:
        question: what was asked, in one sentence.
        captions: by name of the figure (of `result.figures()`); a figure without one is called by its name.
        small_print: below the answer: how intervals and verdicts are made.
        tables: the numbers.
        attention: what the attention view needs, or None.
        before_command: a sentence on what the command needs besides.
    """

    question: Callable[[Any], str] = usual_question
    captions: Callable[[Any], Mapping[str, Caption]] = field(default=lambda result: {})
    small_print: str = ""
    tables: Callable[[Any], Sequence[Table]] = usual_tables
    attention: Callable[[Any], dict[str, Any] | None] = field(default=lambda result: None)
    before_command: Callable[[Any], str] = field(default=lambda result: "")


USUAL = Page()
"""The page of a kind that brings none of its own."""
