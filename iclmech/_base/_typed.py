"""Tables of a configuration file as frozen dataclasses: every value has the type that its field says."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def typed(cls: type[T], table: Any, **given: Any) -> T:
    """An instance of a dataclass from a table of plain values; lists become tuples.

    Args:
        cls: its fields are int, float, bool, str, None, tuples of one of these, or alternatives.
        table: field → value, of some or all fields.
        given: fields that are ready already.

    Raises:
        ValueError: no table, a field that the class has not, or a value of another type (or not finite).

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Phase:
    ...     steps: int
    ...     lr: float = 1.0
    >>> typed(Phase, {"steps": 10, "lr": 2})
    Phase(steps=10, lr=2)
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"got {str(table)[:60]!r} where a table of {cls.__name__} was expected")
    known = {f.name for f in fields(cls)} - set(given)  # type: ignore[arg-type]  # a dataclass
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {str(unknown[0])[:60]!r}; it has {', '.join(sorted(known))}")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in table.items():
        values[name] = tuple(value) if isinstance(value, list) else value
        if not _is(values[name], hints[name]):
            raise ValueError(f"{cls.__name__}.{name} is {str(value)[:60]!r}; expected {_words(hints[name])}")
    return cls(**values, **given)


def _is(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return any(_is(value, option) for option in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(v, typing.get_args(kind)[0]) for v in value)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return value is None if kind is type(None) else type(value) is kind


def _words(kind: Any) -> str:
    return "a finite number" if kind is float else str(getattr(kind, "__name__", kind)).replace("tuple", "a list")
