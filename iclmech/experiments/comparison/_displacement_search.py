"""The scale at which a random weight change moves a layer's states as far as the real one does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GRID = tuple(4.0**i for i in range(6))
"""Scales that are tried, from the norm of the real update to 1024 times that.

So far, since noise shares no direction with the inputs: on SmolLM2-135M it takes 16 to 650 times the norm of a GD update to move
the states as far, and ‖ΔW‖/‖W‖ is .2 then, against .0013.
"""
CLOSE = 0.02
"""Relative distance from the aim at which a scale is right."""
_TRIES = 8

Moved = Callable[[np.ndarray], np.ndarray]
"""Scales of the draws → the displacement that each draw then has."""


def smallest_scales(aim: float, moved: Moved, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """For every draw the smallest scale at which its displacement is `aim`, and whether there is one.

    Displacement is not monotone in the scale, and saturates. So the grid is walked upwards, and the first step across the
    aim is refined. Below the smallest scale of the grid, no change at all is tried: lower layers move this one, too. Where
    nothing reaches the aim the scale is the one that comes closest.

    Args:
        aim: the displacement of the real update.
        moved: displacements of all draws at scales [draw].
        n_draws: how many draws.

    Returns:
        scales [draw], reached [draw].

    >>> import numpy as np
    >>> scales, reached = smallest_scales(0.5, lambda s: s**2 / (s**2 + 9), 2)
    >>> bool(reached.all()), [round(float(s), 1) for s in scales]
    (True, [3.0, 3.0])
    """
    tried = _Tried(aim, n_draws)
    if not aim > 0:
        return np.zeros(n_draws), np.full(n_draws, bool(aim == 0))
    for scale in GRID:
        scales = np.full(n_draws, scale)
        tried.add(scales, moved(scales))
        if tried.above.all():
            break
    if (tried.above & (tried.low == 0)).any():  # across already at the first scale
        nothing = np.zeros(n_draws)
        tried.start(moved(nothing))
    for _ in range(_TRIES):
        if tried.settled.all():
            break
        scales = tried.next()
        tried.narrow(scales, moved(scales))
    return tried.best, tried.near <= CLOSE


class _Tried:
    """What was found of every draw: the bracket, and the scale that comes closest."""

    def __init__(self, aim: float, n: int):
        self.aim = aim
        self.low, self.high, self.best = np.zeros(n), np.zeros(n), np.zeros(n)
        self.under, self.over = np.full(n, np.nan), np.full(n, np.nan)
        self.near = np.full(n, np.inf)
        self.above = np.zeros(n, dtype=bool)
        self.hopeless = np.zeros(n, dtype=bool)

    @property
    def settled(self) -> np.ndarray:
        """Draws that need no further try."""
        return (self.near <= CLOSE) | self.hopeless | ~self.above

    def _closest(self, scales: np.ndarray, found: np.ndarray, among: np.ndarray) -> None:
        near = np.abs(found - self.aim) / self.aim
        better = among & (near < self.near)
        self.best[better], self.near[better] = scales[better], near[better]

    def add(self, scales: np.ndarray, found: np.ndarray) -> None:
        """A step up the grid."""
        pending = ~self.above
        self._closest(scales, found, pending)
        across = pending & (found >= self.aim)
        self.high[across], self.over[across], self.above[across] = scales[across], found[across], True
        under = pending & ~across
        self.low[under], self.under[under] = scales[under], found[under]

    def start(self, found: np.ndarray) -> None:
        """What no change at all gives."""
        first = self.above & (self.low == 0)
        self._closest(np.zeros_like(self.low), found, first)
        self.under[first] = found[first]
        self.hopeless |= first & (found >= self.aim) & (self.near > CLOSE)

    def next(self) -> np.ndarray:
        """Where a straight line through the bracket crosses: displacement grows with the square of small scales."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (np.sqrt(self.aim) - np.sqrt(self.under)) / (np.sqrt(self.over) - np.sqrt(self.under))
        share = np.where(np.isfinite(share), np.clip(share, 0.05, 0.95), 0.5)
        return np.where(self.settled, self.best, self.low + share * (self.high - self.low))

    def narrow(self, scales: np.ndarray, found: np.ndarray) -> None:
        """The bracket after a try inside it."""
        open_ = ~self.settled
        self._closest(scales, found, open_)
        up, down = open_ & (found >= self.aim), open_ & (found < self.aim)
        self.high[up], self.over[up] = scales[up], found[up]
        self.low[down], self.under[down] = scales[down], found[down]
