"""Trust, but verify: a quicker way is tried once against the sure one, and the verdict stays with what was tried.

    way ──► tried before? ──► yes: its verdict
                │ no
                └──► run both on a small probe ──► "" (equal), or what differs (then the sure way is taken)

The sure way is always there, so a probe that raises costs time and nothing else: its error becomes the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

_verdicts: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()


def verdict(owner: Any, way: str, difference: Callable[[], str]) -> str:
    """What is wrong with a way through `owner`, "" if nothing; found by `difference()` at the first call.

    Args:
        owner: what the verdict belongs to and dies with: a model, or the twin of one.
        way: its name, one verdict for each.
        difference: runs both ways on a probe and returns what differs, or "".

    Returns:
        The verdict. An exception in `difference` is one: its type and first line.
    """
    known = _verdicts.setdefault(owner, {})
    if way not in known:
        try:
            known[way] = difference()
        except Exception as error:
            known[way] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    return known[way]


def tolerance(dtype: torch.dtype) -> float:
    """How far two ways may lie apart, relative to 1 + the largest value: rounding of a few layers in `dtype`.

    float64 has the tolerance of float32: transformers computes rotary angles, norms and softmax in float32.
    """
    return 1e-4 if dtype in (torch.float32, torch.float64) else 5e-2


def close(found: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether `found` is `expected` within `tolerance`; NaN anywhere is a difference."""
    allowed = tolerance(dtype or expected.dtype) * (1 + expected.float().abs().max())
    return bool((found.float() - expected.float()).abs().max() <= allowed)
