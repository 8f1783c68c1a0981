"""Two procedures compared where both have moved the states equally far: equal learning rates are not equal steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._states import AnalysisError


class EqualDisplacement(NamedTuple):
    """Similarities of two procedures at one displacement, [seed, query, layer]; NaN where there is no common range.

    Attributes:
        at: the displacement that both were read at.
        first, second: their similarities there.
        difference: first - second, for `two_way_interval`.
    """

    at: np.ndarray
    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray


def at_equal_displacement(
    displacement: tuple[ArrayLike, ArrayLike], similarity: tuple[ArrayLike, ArrayLike], chosen: tuple[int, int]
) -> EqualDisplacement:
    """Read two similarities at the smaller of the two displacements that the chosen learning rates give.

    For each seed, query and layer: d* = min of the two displacements at the chosen rates, fixed before any similarity
    is read. The one that has d* gives its value at its own rate; the other is read off its curve, piecewise linear in
    displacement between neighbouring rates, at the smallest rate where it passes d*. Nothing is extrapolated: a curve
    that does not reach d* gives NaN.

    Args:
        displacement: of the first and the second, Float[ndarray, "seed query rate layer"] (1 - cos(h, h_zs); see
            `displacement`), or without the query axis; rates upwards, sane ones only, or NaN elsewhere. The two may have
            other rates.
        similarity: of both, Float[ndarray, "seed query rate layer"].
        chosen: position of the chosen rate on either axis of rates.

    Returns:
        `EqualDisplacement`, arrays [seed, query, layer].

    Raises:
        AnalysisError: shapes that do not match, or a position that is not there.

    Source: this project's; that similarity grows with displacement follows from the null of `sim_aou`.

    >>> import numpy as np, iclmech as icl
    >>> moved = np.array([0.1, 0.2, 0.4]).reshape(1, 1, 3, 1)
    >>> found = icl.statistics.at_equal_displacement((moved, 2 * moved), (moved, moved), chosen=(1, 1))
    >>> found.at.item(), found.first.item(), found.second.item()  # the second is there at its first rate
    (0.2, 0.2, 0.1)
    """
    curves = [_curve(d, s, c) for d, s, c in zip(displacement, similarity, chosen, strict=True)]
    (d1, _, c1), (d2, _, c2) = curves
    if d1.shape[:-1] != d2.shape[:-1]:
        raise AnalysisError(
            f"got curves of {d1.shape[:-1]} and {d2.shape[:-1]} seeds, queries and layers; expected the same on both sides."
        )
    at = np.minimum(d1[..., c1], d2[..., c2])
    first, second = (_read(d, s, c, at) for d, s, c in curves)
    return EqualDisplacement(at, first, second, first - second)


def _curve(displacement: ArrayLike, similarity: ArrayLike, chosen: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Both with the rates last, [seed, query, layer, rate]."""
    d, s = np.asarray(displacement, dtype=np.float64), np.asarray(similarity, dtype=np.float64)
    if s.ndim == 4 and d.ndim == 3:
        d = d[:, None]
    if s.ndim != 4 or d.ndim != 4 or d.shape[::2] + d.shape[3:] != s.shape[::2] + s.shape[3:]:
        raise AnalysisError(
            f"got a displacement of shape {d.shape} and a similarity of shape {s.shape}; expected [seed, query, rate, "
            "layer] of the same seeds, rates and layers."
        )
    if not 0 <= chosen < s.shape[2]:
        raise AnalysisError(f"got the chosen rate {chosen}; expected a position on the axis of {s.shape[2]} rates.")
    return np.moveaxis(np.broadcast_to(d, s.shape), 2, -1), np.moveaxis(s, 2, -1), chosen


def _read(d: np.ndarray, s: np.ndarray, chosen: int, at: np.ndarray) -> np.ndarray:
    """The similarity where the displacement is `at`: at the chosen rate if it is there, else on the first stretch across it."""
    own = np.where(d[..., chosen] == at, s[..., chosen], np.nan)
    if d.shape[-1] < 2:
        return own
    left, right, aim = d[..., :-1], d[..., 1:], at[..., None]
    across = (np.minimum(left, right) <= aim) & (aim <= np.maximum(left, right))
    across &= ~np.isnan(s[..., :-1]) & ~np.isnan(s[..., 1:])
    first = across.argmax(axis=-1)[..., None]

    def pick(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, first, axis=-1)[..., 0]

    span = pick(right) - pick(left)
    weight = np.divide(at - pick(left), span, out=np.zeros_like(span), where=span != 0)
    between = (1 - weight) * pick(s[..., :-1]) + weight * pick(s[..., 1:])
    return np.where(np.isnan(own), np.where(across.any(axis=-1), between, np.nan), own)
