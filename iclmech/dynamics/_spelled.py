"""Settings as text and back: "classes(bursty=0.5)", on the command line, in requests and in files."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from iclmech.experiments import ExperimentError


def with_knobs(thing: Any, knobs: Mapping[str, Any]) -> Any:
    """A world or a net with other knobs. Raises `ExperimentError` for one that it does not have."""
    known = {f.name: type(getattr(thing, f.name)) for f in fields(thing)}
    unknown = [name for name in knobs if name not in known]
    if unknown:
        raise ExperimentError(f"got {unknown[0]}; {type(thing).__name__} has {', '.join(known)}.")
    return replace(thing, **{n: float(v) if known[n] is float and type(v) is int else v for n, v in knobs.items()})


def spell_call(name: str, values: Mapping[str, Any], usual: Any) -> str:
    """A name with what differs from the usual values: "classes(bursty=0.5)"."""
    own = [f"{n}={v!r}" for n, v in values.items() if v != getattr(usual, n)]
    return f"{name}({', '.join(own)})" if own else name


def read_call(text: str) -> tuple[str, dict[str, Any]]:
    """The inverse of `spell_call`. Raises `ExperimentError` for a text that is no such thing."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            return node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ExperimentError(f"got {text!r}; expected a name with its settings, such as classes(bursty=0.5, zipf=1.0).")
