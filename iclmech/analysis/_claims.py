"""p-values of several claims, and of one claim that needs several contrasts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ._states import AnalysisError


def holm(p_values: ArrayLike) -> Float[np.ndarray, " claim"]:
    """Holm's adjusted p-values of a family of claims: all of them below .05 are right together in 95 % of families.

    With p sorted upwards, the i-th of m becomes the largest of (m - j + 1)·p_j over j ≤ i, at most 1. A NaN (no
    interval, so no test) stays NaN and still counts in m: a claim that could not be tested was asked all the same.

    Args:
        p_values: uncorrected p-values of the family, in any order.

    Returns:
        The adjusted ones, in that order.

    Raises:
        AnalysisError: more than one axis, or a value outside [0, 1].

    Source: Holm, Scandinavian Journal of Statistics 1979.

    >>> import iclmech as icl
    >>> icl.statistics.holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = _checked(p_values)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    steps = (len(p) - np.arange(len(p))) * p[order]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.fmax.accumulate(steps), 1.0)
    return np.where(np.isnan(p), np.nan, adjusted)


def all_of(p_values: ArrayLike) -> float:
    """The p-value of a claim that needs *all* of several contrasts: the largest, uncorrected within.

    NaN if one of them is: what could not be tested is not shown.

    Args:
        p_values: p-values of the contrasts, each on its own.

    Raises:
        AnalysisError: no contrasts, or a value outside [0, 1].

    Source: the intersection-union test, Berger, Technometrics 1982.

    >>> import iclmech as icl
    >>> icl.statistics.all_of([0.001, 0.03])
    0.03
    """
    p = _checked(p_values)
    if not len(p):
        raise AnalysisError("got no contrasts; a claim needs at least one.")
    return float(p.max())


def _checked(p_values: ArrayLike) -> np.ndarray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise AnalysisError(f"got p-values {p.tolist()}; expected one axis of values between 0 and 1.")
    return p
