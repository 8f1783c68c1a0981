"""The axes of a sweep: which fields of a request vary, alone or together, over which values."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iclmech.experiments import ExperimentError, Request
from iclmech.experiments._request import field_types, read_text, spell


class SweepError(ExperimentError):
    """A sweep was asked for something that it cannot do."""


@dataclass(frozen=True)
class Axis:
    """One axis: the fields that vary along it, and at every position a value of each.

    Attributes:
        fields: one, or several that go together.
        values: by position, a value for every field.
    """

    fields: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """The dimension in the dataset."""
        return self.fields[0]

    def coordinate(self, field: str) -> list[Any]:
        """The values of a field along the axis as they stand in a dataset: numbers, or texts where some are none."""
        values = [at[self.fields.index(field)] for at in self.values]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            return values
        return ["none" if v is None else spell(v) for v in values]


def axes_of(request: type[Request], axes: Mapping[Any, Any]) -> tuple[Axis, ...]:
    """Axes as they are given: field → values; several fields that go together → tuples of values.

    Args:
        request: whose fields they are.
        axes: `{"k": [1, 4], "seeds": range(1, 4), ("model", "lr"): [("a", .1), ("b", .2)]}`; "model,lr" is ("model", "lr").

    Raises:
        SweepError: no such field, a field twice, no values, or one value twice.
    """
    made: list[Axis] = []
    for key, given in axes.items():
        fields = tuple(part.strip() for part in key.split(",")) if isinstance(key, str) else tuple(key)
        positions = list(_listed(key, given))
        if len(fields) > 1:
            wrong = [
                at for at in positions if isinstance(at, str) or not isinstance(at, Sequence) or len(at) != len(fields)
            ]
            if wrong:
                raise SweepError(
                    f"got {wrong[0]!r} on the axis {', '.join(fields)}; expected {len(fields)} values, one of each."
                )
        else:
            positions = [(at,) for at in positions]
        values = tuple(tuple(plain(request, f, v) for f, v in zip(fields, at, strict=True)) for at in positions)
        twice = [at for n, at in enumerate(values) if at in values[:n]]
        if not values or twice:
            raise SweepError(
                f"got {'no values' if not values else f'{spell(twice[0])} twice'} on the axis {', '.join(fields)}; expected "
                "one or more different ones."
            )
        made.append(Axis(fields, values))
    every = [field for axis in made for field in axis.fields]
    twice = sorted({field for field in every if every.count(field) > 1})
    if twice:
        raise SweepError(f"got {', '.join(twice)} on two axes; expected every field on one.")
    return tuple(made)


def _listed(key: Any, given: Any) -> Sequence[Any]:
    if isinstance(given, str | Mapping) or not hasattr(given, "__iter__"):
        raise SweepError(
            f"got {given!r} for the axis {key!r}; expected a list or a range of values. One value for all cells is a keyword."
        )
    return list(given)


def plain(request: type[Request], field: str, value: Any) -> Any:
    """A value as a request's field holds it.

    Raises:
        SweepError: no such field, or a value that is none of the field's.
    """
    types = field_types(request)
    if field not in types:
        near = difflib.get_close_matches(field, types, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SweepError(f"got the field {field!r}; {request.__name__} has {', '.join(types)}.{hint}")
    kind, value = types[field], _unwrapped(value)
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={'/'.join(map(spell, _several(v)))}" for name, v in value.items())
    options = typing.get_args(kind) or (kind,)
    if isinstance(value, int) and not isinstance(value, bool) and int not in options and float in options:
        return float(value)
    if _fits(value, kind):
        return value
    if isinstance(value, str):
        return read_text(value, kind, field)
    raise SweepError(
        f"got {type(value).__name__} for {field}; expected plain values: a cell is run by another process. Give a model or a task "
        "by its name or directory, and an object of one's own by a name (iclmech.register)."
    )


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _unwrapped(value: Any) -> Any:
    """Lists as tuples, numbers of arrays as Python's."""
    if isinstance(value, list | tuple):
        return tuple(_unwrapped(v) for v in value)
    own = getattr(value, "item", None)
    return own() if callable(own) and getattr(value, "ndim", 1) == 0 else value


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a field's type."""
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        if not isinstance(value, tuple):
            return False
        items = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(items) == len(value) and all(_fits(v, k) for v, k in zip(value, items, strict=True))
    options = typing.get_args(kind)
    if options:
        return any(_fits(value, option) for option in options)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))
