"""What an experiment is asked, as plain values: the command line, a sweep's axes and the provenance are made from it."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from iclmech._base import ICLMechError, digest

if TYPE_CHECKING:
    from typing import Self
else:
    Self = Any  # run-time shape checks know no Self

Plain = str | int | float | bool | None | tuple
CUSTOM = "custom:"
"""What stands in a request for an object that has no registered name, followed by the hash of its content."""


class ExperimentError(ICLMechError, ValueError):
    """An experiment was asked for something that it cannot do."""


@dataclass(frozen=True)
class Request:
    """Plain values only: str, int, float, bool, None and tuples of these. The string below a field is its help."""

    positional: ClassVar[tuple[str, ...]] = ()
    """Fields that the command line takes without a flag."""

    @property
    def folder(self) -> str:
        """Where its result stands by default below the directory of its experiment; empty: there itself."""
        return ""

    def record(self) -> dict[str, Any]:
        """The request for a file: JSON-serialisable, tuples as lists."""
        return {f.name: _listed(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `record`.

        Raises:
            ExperimentError: a field that this request does not have.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(record) - known)
        if unknown:
            raise ExperimentError(
                f"got {', '.join(unknown)}; {cls.__name__} has the fields {', '.join(sorted(known))}."
            )
        return cls(**{name: _tupled(value) for name, value in record.items()})

    @property
    def hash(self) -> str:
        """16 hex digits that change with any field."""
        return digest(type(self).__name__, self.record())

    @property
    def objects(self) -> list[str]:
        """Fields that stand for an object of one's own: such a request runs in Python only."""
        return [f.name for f in fields(self) if CUSTOM in repr(getattr(self, f.name))]


@dataclass(frozen=True)
class ModelTaskRequest(Request):
    """A request about one model on one task."""

    model: str = "icl-mini"
    """A shipped model, a directory in Hugging Face format, or a name on the hub."""
    task: str = "mini/sentiment"
    """A shipped task, a preset (with --data), a directory or a file of records."""
    data: str | None = None
    """Directory with train.jsonl and test.jsonl for a preset."""
    template: str | None = None
    """How a record becomes a prompt, with its fields in braces ("Review: {text}\\nSentiment:"); by default the task's own."""
    device: str | None = None
    """cpu, cuda, ...; by default a GPU if there is one."""
    dtype: str = "float32"
    """float32, float64, bfloat16 or float16: what the model computes in."""


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple | list) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, tuple | list) else value


# -- requests as text ---------------------------------------------------------------------------------------------


@cache
def field_types(request: type[Request]) -> dict[str, Any]:
    """Field → its type, annotations resolved."""
    return {f.name: typing.get_type_hints(request)[f.name] for f in fields(request)}


@cache
def field_help(request: type[Request]) -> dict[str, str]:
    """Field → the string below it in the source of the class, inherited ones included."""
    found: dict[str, str] = {}
    for cls in reversed(request.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]  # a class
        for node, after in itertools.pairwise(body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[node.target.id] = str(after.value.value)  # type: ignore[union-attr]  # a plain name
    return found


def spell(value: Any) -> str:
    """A value as the command line takes it: lists joined by commas, pairs by a dash, line breaks as \\n.

    >>> spell((0.01, 0.1)), spell(((0, 1), (2, 3))), spell(None)
    ('0.01,0.1', '0-1,2-3', '')
    """
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join("-".join(map(spell, v)) if isinstance(v, tuple) else spell(v) for v in value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value).replace("\n", "\\n").replace("\t", "\\t")


def read_text(text: str, kind: Any, name: str) -> Any:
    """A text of the command line as a value of a field's type: the inverse of `spell`.

    Raises:
        ExperimentError: the text is none of the type's values.
    """
    for option in _options(kind):
        try:
            return _read(text, option)
        except ValueError:
            continue
    raise ExperimentError(f"got {name}={text!r}; expected {_described(kind)}.")


def _options(kind: Any) -> list[Any]:
    """The alternatives of a type, the narrow ones first and text last."""
    options = (
        list(typing.get_args(kind))
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
        else [kind]
    )
    order = [type(None), bool, int, float]
    return sorted(options, key=lambda o: order.index(o) if o in order else len(order) + (o is str))


def _read(text: str, kind: Any) -> Any:
    if kind is type(None):
        if text:
            raise ValueError(text)
        return None
    if typing.get_origin(kind) is tuple:
        return _read_tuple(text, typing.get_args(kind))
    if kind is bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else int("")
    if kind in (int, float):
        return kind(text)
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _read_tuple(text: str, inner: tuple[Any, ...]) -> tuple:
    item = inner[0]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if typing.get_origin(item) is tuple:
        pairs = [part.split("-", 1) for part in parts]
        of = typing.get_args(item)
        if any(len(pair) != len(of) for pair in pairs):
            raise ValueError(text)
        return tuple(tuple(_read(v, k) for v, k in zip(pair, of, strict=True)) for pair in pairs)
    return tuple(_read(part, item) for part in parts)


def _described(kind: Any) -> str:
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    texts = []
    for option in _options(kind):
        if typing.get_origin(option) is tuple:
            inner = typing.get_args(option)[0]
            texts.append(
                "pairs such as 0-1,2-3"
                if typing.get_origin(inner) is tuple
                else f"{words[inner].removeprefix('a ')}s joined by commas"
            )
        else:
            texts.append(words[option])
    return " or ".join(texts)


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """n → 0 … n-1; a list of different integers stays.

    Raises:
        ExperimentError: none, or the same twice.
    """
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(int(s) for s in seeds)
    if not found or len(set(found)) < len(found):
        raise ExperimentError(
            f"got seeds={seeds!r}; expected a number of seeds (at least 1) or a list of different ones."
        )
    return found


def seeds_asked(seeds: int | Sequence[int]) -> int | tuple[int, ...]:
    """As a request holds them: a number as it is, of a list each one; raises as `seeds_of`."""
    return seeds if isinstance(seeds, int) else seeds_of(seeds)
