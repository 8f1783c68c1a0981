"""Learning rates as they are asked for: by rule, one, a grid, or by update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._request import ExperimentError
from ._control import kind_of


class CompareError(ExperimentError):
    """`compare` was asked for something that it cannot do."""


def rate_at(thirds: int) -> float:
    """A learning rate by thirds of a decade: 10 ** (thirds / 3), two digits of it.

    >>> rate_at(-4)
    0.046
    """
    return float(f"{10 ** (thirds / 3):.2g}")


DEFAULT_GRID = tuple(map(rate_at, range(-12, 1)))
"""Learning rates tried by `lr="auto"`: 1e-4 to 1, three per decade."""


def spell_rates(lr: Any) -> Any:
    """{update: number or grid} as a text, "gd=0.01/0.1,lcgd=0.3/1"; anything else as it is."""
    if isinstance(lr, Mapping):
        return ",".join(f"{u}={'/'.join(f'{r:.12g}' for r in np.atleast_1d(grid))}" for u, grid in lr.items())
    return float(lr) if isinstance(lr, int) else tuple(float(r) for r in lr) if isinstance(lr, list | tuple) else lr


def _read_rates(text: str) -> dict[str, tuple[float, ...]]:
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {update.strip(): tuple(float(r) for r in grid.split("/")) for update, grid in pairs}
    except ValueError:
        raise CompareError(
            f"got lr={text!r}; expected auto, a number, numbers separated by commas, or gd=0.01/0.1,lcgd=0.03/0.3."
        ) from None


def rates_of(lr: Any, updates: Sequence[str]) -> dict[str, tuple[float, ...]] | None:
    """ "auto" → None; a number, a grid, or rates by update → a grid of the same length for every update."""
    if lr == "auto":
        return None
    by_update = _read_rates(lr) if isinstance(lr, str) else lr
    by_update = _with_strengths(by_update, updates)
    missing = [u for u in updates if isinstance(by_update, Mapping) and u not in by_update]
    if missing:
        raise CompareError(f"lr names no rate for {', '.join(missing)}; expected one for each of {', '.join(updates)}.")
    grids = {}
    for update in updates:
        grid = tuple(
            float(r) for r in np.atleast_1d(by_update[update] if isinstance(by_update, Mapping) else by_update)
        )
        if not grid or not all(math.isfinite(r) and r >= 0 for r in grid):
            raise CompareError(f"got the learning rates {list(grid)} for {update}; expected finite numbers ≥ 0.")
        grids[update] = grid
    if len({len(g) for g in grids.values()}) > 1:
        raise CompareError(
            f"got grids of different lengths, { ({u: len(g) for u, g in grids.items()}) }; expected one length."
        )
    return grids


def _with_strengths(lr: Any, updates: Sequence[str]) -> Any:
    """Rates by update, where vectors are among them: their strength is 1 unless they are named."""
    vectors = [u for u in updates if kind_of(u) == "vector"]
    if not vectors:
        return lr
    named = dict(lr) if isinstance(lr, Mapping) else {u: lr for u in updates if u not in vectors}
    n = max((len(np.atleast_1d(grid)) for grid in named.values()), default=1)
    return {**{u: [1.0] * n for u in vectors}, **named}
