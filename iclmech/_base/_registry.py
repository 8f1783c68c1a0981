"""What is known by name: experiments, measures, updates, controls, task sources, papers.

A target is the thing itself or a string "package.module:name", imported when it is asked for, so that a list of names, and
`iclmech --help`, cost no import of torch. Three doors lead in, in this order: the built-in table (`iclmech._builtin`, strings
only), other packages by the entry-point group "iclmech", and one's own files, named in ICLMECH_PLUGINS (modules, separated by
commas) or calling `iclmech.register` themselves.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from ._records import Measure, Update
from ._targets import RegistryError, resolve

T = TypeVar("T")
PLUGINS = "ICLMECH_PLUGINS"


class Registry(Generic[T]):
    """Names and what they stand for, in the order in which they were registered.

    Args:
        kind: what is registered here, for the texts of errors: "measure".
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._targets: dict[str, T | str] = {}

    def add(self, name: str, target: T | str) -> None:
        """Register `target`, or "module:name" of it. The same name twice is an error unless it names the same thing."""
        known = self._targets.get(name)
        if known is not None and _origin(known) != _origin(target):
            raise RegistryError(
                f"the {self.kind} {name!r} is registered already ({_origin(known)}); got another one "
                f"({_origin(target)}). Choose another name."
            )
        self._targets[name] = target

    def names(self) -> list[str]:
        """All names."""
        _load()
        return list(self._targets)

    def __contains__(self, name: object) -> bool:
        _load()
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, name: object, default: Any = None) -> T | Any:
        """What stands behind a name, or `default`."""
        return self[str(name)] if name in self else default

    def __getitem__(self, name: str) -> T:
        """What stands behind a name. Raises `RegistryError` for an unknown one, naming the nearest."""
        _load()
        if name not in self._targets:
            near = difflib.get_close_matches(str(name), self._targets, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise RegistryError(f"got the {self.kind} {name!r}; known are {', '.join(self._targets) or 'none'}.{hint}")
        target = self._targets[name]
        return resolve(target) if isinstance(target, str) else target  # type: ignore[return-value]  # what was registered


def _origin(target: Any) -> str:
    """Where a target comes from: enough to know a cell of a notebook that is run again from another thing of that name."""
    if isinstance(target, str):
        return target
    thing = getattr(target, "function", None) or getattr(target, "make", None) or target
    if isinstance(thing, str):
        return thing
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


REGISTRIES: dict[str, Registry[Any]] = {
    kind: Registry(kind) for kind in ("experiment", "measure", "update", "control", "task source", "paper", "directory")
}
"""One registry for each kind of thing that can be added from outside."""

_loaded = False


def _load() -> None:
    """Fill the registries from the three doors, once."""
    global _loaded
    if _loaded:
        return
    _loaded = True  # before the work: a plug-in asks for names while it is imported
    for kind, table in importlib.import_module("iclmech._builtin").BUILT_IN.items():
        for name, target in table.items():
            REGISTRIES[kind].add(name, target)
    from importlib.metadata import entry_points

    modules = [point.value for point in entry_points(group="iclmech")]
    modules += [name.strip() for name in os.environ.get(PLUGINS, "").split(",") if name.strip()]
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RegistryError(
                f"the plug-in {name!r} cannot be imported ({error}); mend it, or take it out of {PLUGINS}."
            ) from error


def register(kind: str, name: str, thing: Any = None, **about: Any) -> Any:
    """Make something known by name, everywhere a name is accepted: in Python, on the command line, in files.

    Args:
        kind: "experiment", "measure", "update", "control", "task source", "paper", or "directory" (a file's name, and the
            function that opens directories with such a file).
        name: how it is called.
        thing: the thing, or "package.module:name" of it. Left out, `register` is a decorator of a function, and `about`
            describes what becomes of it: a `Measure` or an `Update` with these fields.

    Returns:
        `thing`, or the decorator, which leaves the function as it is.

    Raises:
        RegistryError: an unknown kind, or a name that is taken.

    Example:
        >>> import iclmech as icl
        >>> @icl.register("measure", "doc_shift", axes=("layer",), title="length of the shift", unit="norm")
        ... def doc_shift(zs, icl, ft):
        ...     return (ft["attn_out"] - zs["attn_out"]).norm(dim=-1)
    """
    if kind not in REGISTRIES:
        raise RegistryError(f"got kind={kind!r}; expected one of {', '.join(REGISTRIES)}.")
    if thing is not None:
        REGISTRIES[kind].add(name, thing)
        return thing
    record = {"measure": Measure, "update": Update}.get(kind)
    if record is None:
        raise RegistryError(f"got no {kind} to register as {name!r}; pass it: register({kind!r}, {name!r}, thing).")

    def decorate(function: Any) -> Any:
        REGISTRIES[kind].add(name, record(name, function, **about))
        return function

    return decorate
