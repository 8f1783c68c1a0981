"""Putting what is not trusted into a page: into text (Jinja escapes), into scripts (here), into names of files."""

from __future__ import annotations

import json
from typing import Any

from iclmech._base import visible

_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def script_json(value: Any) -> str:
    """`value` as JSON that can stand inside `<script>`: no tag and no comment can begin or end in it.

    Lone surrogates become their escapes, NaN becomes null.
    """
    return json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_IN_SCRIPT)


def safe_script(json_text: str) -> str:
    """JSON that is already there, made fit for `<script>`."""
    return json_text.translate(_IN_SCRIPT)


def shown(value: Any) -> str:
    """Any value as visible text: control and direction characters appear as signs; Jinja escapes the rest."""
    return visible(str(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
