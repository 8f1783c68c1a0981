"""From raw records to examples. Every complaint names the place, what was got, what was expected, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iclmech._base import TaskError


@dataclass(frozen=True)
class Example:
    """One labelled text: the template's fields, and either a label (index into the label words) or a target text."""

    fields: dict[str, str]
    label: int | None = None
    target: str | None = None

    @property
    def text(self) -> str:
        """The values of the fields, joined by newlines."""
        return "\n".join(self.fields.values())


@dataclass(frozen=True)
class Rows:
    """Raw records with their places: `where` is a file or split, each record has its line, row or record number."""

    where: str
    records: list[tuple[int, Any]]
    unit: str = "record"
    all_text: bool = False  # every value is a string, as in CSV: numbers arrive as digits

    def place(self, number: int) -> str:
        """Where record `number` stands, for an error text."""
        return f"{self.where}, {self.unit} {number}"

    @classmethod
    def of(cls, records: Sequence[Any], where: str) -> Rows:
        """Records held in memory, counted from 0."""
        return cls(where, list(enumerate(records)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _fold(name: str) -> str:
    return name.strip().casefold()


class Labels:
    """Which label word a record's label means. Names decide; bare numbers count only where nothing contradicts them.

    Args:
        label_words: a list (class i has word i), or a mapping from label name to word.
        label_names: names of the data's integer labels: number i is called `label_names[i]`. Beside a list of words of
            the same length, name i also belongs to word i.
    """

    def __init__(
        self, label_words: Sequence[str] | Mapping[str, str], label_names: Sequence[str] | None = None
    ) -> None:
        self.int_names = None if label_names is None else [str(n) for n in label_names]
        self.names_needed = isinstance(label_words, Mapping)
        if isinstance(label_words, Mapping):
            pairs = [(str(name), word) for name, word in label_words.items()]
        else:
            names = self.int_names or list(label_words)
            if len(names) != len(label_words):
                raise TaskError(
                    f"got {len(names)} label_names {names} for {len(label_words)} label words {list(label_words)}; expected "
                    "one name for each word. Give a mapping label_words={name: word} when several names share a word."
                )
            pairs = list(zip(names, label_words, strict=True))
        self.words = list(dict.fromkeys(word for _, word in pairs))
        self.names = [next(name for name, w in pairs if w == word) for word in self.words]
        self._by_name = {_fold(name): self.words.index(word) for name, word in pairs}
        for i, word in enumerate(self.words):
            if isinstance(word, str):
                self._by_name.setdefault(_fold(word), i)
        for name in self.int_names or ():
            if _fold(name) not in self._by_name:
                raise TaskError(
                    f"label_names has {name!r}, which has no label word; known names are {self.names}. "
                    "Give label_words={name: word} with every name."
                )
        self._numbers: dict[int, tuple[int, str, str]] = {}  # number -> (index, what it was called, where)
        self._numbered: dict[str, tuple[int, str]] = {}  # name -> (number, where)

    def index(self, record: Mapping[str, Any], place: str, all_text: bool = False) -> int:
        """Index of the record's label word. Raises `TaskError` with the place."""
        label, name = record.get("label"), record.get("label_name")
        if name is None and isinstance(label, str):
            if all_text and _fold(label) not in self._by_name and re.fullmatch(r"\s*-?\d+\s*", label):
                label = int(label)
            else:
                label, name = None, label
        elif all_text and isinstance(label, str) and re.fullmatch(r"\s*-?\d+\s*", label):
            label = int(label)
        label = self._number(label, place) if label is not None and not isinstance(label, str) else None
        if name is not None:
            return self._named(name, label, place)
        if label is None:
            raise TaskError(
                f"{place}: no label; got fields {sorted(map(str, record))}, expected 'label' (a number or a name) or "
                f"'label_name', one of {self.names}. Add it, or remove the record."
            )
        return self._numbered_only(label, place)

    def _number(self, label: Any, place: str) -> int:
        if isinstance(label, bool) or not hasattr(label, "__index__"):
            raise TaskError(
                f"{place}: label {_shown(label)} is of type {type(label).__name__}; expected a whole number or one of the "
                f"names {self.names}. Write the number or the name."
            )
        return int(label)

    def _named(self, name: Any, number: int | None, place: str) -> int:
        if not isinstance(name, str) or _fold(name) not in self._by_name:
            raise TaskError(
                f"{place}: unknown label {_shown(name)}; expected one of {self.names} for the label words {self.words}. "
                "Correct the record, or say which word each name means: label_words={name: word}."
            )
        index = self._by_name[_fold(name)]
        if number is not None:
            known, called, where = self._numbers.setdefault(number, (index, f"{name!r}", place))
            other, other_where = self._numbered.setdefault(_fold(name), (number, place))
            if known != index:
                raise TaskError(
                    f"{place}: label {number} is called {name!r} here and {called} in {where}; expected one name for each "
                    "number. Correct 'label' or 'label_name' in one of the two."
                )
            if other != number:
                raise TaskError(
                    f"{place}: {name!r} has the label {number} here and {other} in {other_where}; expected one number for "
                    "each name. Correct 'label' or 'label_name' in one of the two."
                )
        return index

    def _numbered_only(self, number: int, place: str) -> int:
        if number in self._numbers:
            return self._numbers[number][0]
        if number == -1:
            raise TaskError(
                f"{place}: label -1 marks an unlabelled record; expected one of {self.names}. Use a labelled split."
            )
        if self.int_names is None and self.names_needed:
            raise TaskError(
                f"{place}: got only the number {number} as the label; numbers differ between releases of the same data, so "
                f"names are needed, of {self.names}. Give label_names=[name of 0, name of 1, ...], or 'label_name' in records."
            )
        names = self.names if self.int_names is None else self.int_names
        if not 0 <= number < len(names):
            raise TaskError(
                f"{place}: unknown label {number}; expected 0..{len(names) - 1} for {names}. Correct the record, or give all "
                "label words."
            )
        index = self._by_name[_fold(names[number])]
        self._numbers[number] = (index, f"{names[number]!r} (by position)", place)
        return index


def examples(
    rows: Rows, fields: Sequence[str], labels: Labels | None, target_field: str | None = None
) -> list[Example]:
    """Check every record and turn it into an `Example`.

    Args:
        rows: the records and their places.
        fields: fields of the template; each must be a non-empty string.
        labels: how labels are read, or None where `target_field` holds the answer.
        target_field: field with the free-text answer.

    Raises:
        TaskError: at the first bad record, with its place; or there are none.
    """
    if not rows.records:
        raise TaskError(
            f"{rows.where}: no records; expected at least one. Check that the file or list is the right one."
        )
    made = []
    for number, record in rows.records:
        place = rows.place(number)
        if not isinstance(record, Mapping):
            raise TaskError(
                f"{place}: got {_shown(record)}, a {type(record).__name__}; expected a record with the fields {list(fields)} "
                "and a label. Write one JSON object (a dict) for each example."
            )
        values = {field: _text(record, field, place, fields) for field in fields}
        if labels is None:
            target = _text(record, target_field or "target", place, fields)
            made.append(Example(values, None, target.strip()))
        else:
            made.append(Example(values, labels.index(record, place, rows.all_text)))
    return made


def _text(record: Mapping[str, Any], field: str, place: str, fields: Sequence[str]) -> str:
    if field not in record:
        raise TaskError(
            f"{place}: the field {field!r} is missing; got {sorted(map(str, record))}, expected {list(fields)}. "
            "Add the field, or give a template with the fields that are there."
        )
    value = record[field]
    if not isinstance(value, str):
        raise TaskError(
            f"{place}: the field {field!r} is {_shown(value)}, of type {type(value).__name__}; expected text. "
            "Write it as a string."
        )
    if not value.strip():
        raise TaskError(
            f"{place}: the field {field!r} is empty ({value!r}); expected text. Fill it in, or remove the record."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise TaskError(
            f"{place}: the field {field!r} holds a lone surrogate at character {error.start}, which is no text; expected "
            "valid Unicode. Remove it."
        ) from error
    return value


def infer_label_names(*splits: Rows) -> list[str]:
    """Names of the classes as the records give them: in the order of their numbers where there are any, else sorted.

    Raises:
        TaskError: the records hold no names, so that words for the classes cannot be known.
    """
    numbers: dict[str, int] = {}
    for rows in splits:
        for _, record in rows.records:
            if not isinstance(record, Mapping):
                continue
            label, name = record.get("label"), record.get("label_name")
            if name is None:
                name = label
            if isinstance(name, str) and name.strip() and not (rows.all_text and name.strip().lstrip("-").isdigit()):
                number = str(label).strip() if name is not label else ""
                numbers.setdefault(name.strip(), int(number) if number.isdigit() else -1)
    if len(numbers) < 2:
        where = " and ".join(rows.where for rows in splits)
        raise TaskError(
            f"{where}: found the label names {sorted(numbers)}; expected at least two, to serve as label words. "
            "Give label_words=[...], or 'label_name' in the records, or target_field= if the answer is free text."
        )
    return sorted(numbers, key=lambda name: (numbers[name], name))
