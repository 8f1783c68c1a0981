"""Families by name: what `repr` of one says, read back."""

from __future__ import annotations

import ast
from typing import Any

from ._errors import FunctionError
from ._family import Family


def family_name(family: Family) -> str:
    """The text that `family_of` reads back.

    >>> from iclmech.functions import LinearRegression
    >>> family_of(family_name(LinearRegression(d=3))) == LinearRegression(d=3)
    True
    """
    return repr(family)


def family_of(family: str | Family) -> Family:
    """A family, or the one that a text names: a class of `iclmech.functions` with its arguments, as written in Python.

    Raises:
        FunctionError: no such class, or not a call with plain arguments.

    >>> family_of("LinearRegression(d=5, noise=0.5)").sigma
    0.5
    """
    if isinstance(family, Family):
        return family
    try:
        found = _read(ast.parse(family.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError) as error:
        raise FunctionError(
            f"got the family {family!r} ({error}); expected a family with its arguments: LinearRegression(d=5, noise=0.5)."
        ) from error
    if not isinstance(found, Family):
        raise FunctionError(f"got {family!r}; expected a family with its arguments: LinearRegression(d=5, noise=0.5).")
    return found


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _read(ast.Call(node, [], []))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        made = _class(node.func.id)
        return made(*map(_read, node.args), **{str(k.arg): _read(k.value) for k in node.keywords})
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(map(_read, node.elts))
    return ast.literal_eval(node)


def _class(name: str) -> type[Family]:
    from iclmech import functions

    found = getattr(functions, name, None)
    if not (isinstance(found, type) and issubclass(found, Family)):
        known = [n for n in dir(functions) if _is_family(getattr(functions, n))]
        raise FunctionError(f"got the family {name!r}; expected one of {', '.join(sorted(known))}.")
    return found


def _is_family(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, Family) and thing is not Family
