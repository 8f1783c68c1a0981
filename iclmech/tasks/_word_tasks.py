"""Word tasks: pairs of an input and its one answer, as in studies of task vectors and function vectors. Own work, MIT.

One file a task in `_words/`: a sentence on the first line, then the columns split, input, answer. The splits are fixed and
share no input. Tasks whose answers are no classes (all but `category`, `first-letter` and `language`) share no answer either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from iclmech._base import TaskError

from ._task import Task

PREFIX = "words/"
_FOLDER = Path(__file__).parent / "_words"
_TEMPLATE, _SEPARATOR = "Q: {input}\nA:", "\n\n"


@dataclass(frozen=True)
class WordPairs:
    """The content of one file: `{input: answer}` of each split, in the order of the file."""

    description: str
    train: dict[str, str]
    test: dict[str, str]


def word_task_names() -> list[str]:
    """`"words/…"`, one for each file, in alphabetical order."""
    return sorted(PREFIX + path.stem for path in _FOLDER.glob("*.tsv"))


@cache
def word_pairs(name: str) -> WordPairs:
    """The pairs of a task, e.g. `"words/plural"`.

    Raises:
        TaskError: no task of that name.
    """
    path = _FOLDER / f"{name.removeprefix(PREFIX)}.tsv"
    if name not in word_task_names():
        raise TaskError(f"got {name!r}; the word tasks are {word_task_names()}.")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    train, test = ({left: right for part, left, right in rows if part == split} for split in ("train", "test"))
    return WordPairs(lines[0].removeprefix("#").strip(), train, test)


def word_task(name: str, /, **options: Any) -> Task:
    """The task of a file, with template `Q: {input}\\nA:` and a blank line between demonstrations; answers are free text.

    Args:
        name: one of `word_task_names()`.
        options: as in `Task.from_records`, in place of the task's own.
    """
    pairs = word_pairs(name)
    train, test = (
        [{"input": left, "answer": right} for left, right in part.items()] for part in (pairs.train, pairs.test)
    )
    own: dict[str, Any] = {
        "name": name,
        "template": _TEMPLATE,
        "separator": _SEPARATOR,
        "target_field": "answer",
        "description": pairs.description,
    }
    return Task.from_records(train, test, **{**own, **options})
