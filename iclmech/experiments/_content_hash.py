"""What an object consists of, as a hash: it stands in requests, and tells two runs apart."""

from __future__ import annotations

import types
from typing import Any

from iclmech._base import digest, tensor_digest

UNHASHED = "unhashed"
"""Stands where the content of an object cannot be told."""


def content_hash(value: Any) -> str:
    """A hash of what an object consists of, or "unhashed" where that cannot be told.

    Tensors and arrays: their content. Objects with `hash`: that. Functions: their code, constants and defaults, unless they
    close over something.
    """
    own = getattr(value, "hash", None)
    if isinstance(own, str):
        return own
    if callable(own):
        return str(own())
    if hasattr(value, "detach"):
        return tensor_digest(value)[:16]
    code = getattr(value, "__code__", None)
    if code is not None and not getattr(value, "__closure__", None):
        return digest(_code(code), repr(value.__defaults__))
    return UNHASHED


def _code(code: types.CodeType) -> list[Any]:
    """What a function does: its instructions, names and constants, inner functions included."""
    constants = [_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]
