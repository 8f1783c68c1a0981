"""Means over seeds and queries with an interval that counts both as drawn, and p-values for families of claims.

`values[seed, query, ...]`: a seed is a draw of demonstrations; NaN marks a masked cell. Averages over layers and heads
that one number is to stand for are taken before, inside each cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from ._states import AnalysisError

SEEDS_FOR_CLAIMS = 3
"""Fewer demonstration sets than this carry no verdict."""

COMPLETE = 0.8
"""Below this share of queries with a value in every seed, the estimate is the unbalanced one."""

PSEUDO_QUERIES = {"share": (1.0, 1.0, 0.0, 0.0), "difference": (1.0, -1.0)}
RANGES = {"share": (0.0, 1.0), "difference": (-1.0, 1.0)}


class Estimate(NamedTuple):
    """A mean with its two-way interval; arrays of one shape, that of the axes behind seed and query.

    Attributes:
        mean: the estimate, in the unit of the values.
        low, high: ends of the interval; NaN where the values do not vary, which is no certainty.
        se: standard error of the mean.
        df: degrees of freedom of Student's t.
        p: two-sided p-value against `null`, uncorrected; NaN where there is no interval.
        kept: share of the queries that have a value in every seed.
        n_seeds: seeds with any value.
        claims: whether a verdict may rest on it.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    se: np.ndarray
    df: np.ndarray
    p: np.ndarray
    kept: np.ndarray
    n_seeds: np.ndarray
    claims: np.ndarray


class _Moments(NamedTuple):
    """Of each column: mean, variance of the mean, degrees of freedom."""

    mean: np.ndarray
    variance: np.ndarray
    df: np.ndarray


def two_way_interval(
    values: ArrayLike,
    level: float = 0.95,
    kind: str = "crossed",
    *,
    binary: str | None = None,
    limits: Sequence[float] | None = None,
    null: float = 0.0,
) -> Estimate:
    """The mean of `values[seed, query, ...]` and an interval for other seeds *and* other queries.

    Crossed: with S seeds, Q queries and the mean squares MS_s, MS_q, MS_e of seeds, queries and residual,
    Var = max(MS_s + MS_q - MS_e, MS_s, MS_q) / (S·Q), with Student's t on Satterthwaite's degrees of freedom
    (MS_s + MS_q - MS_e)² / (MS_s²/(S-1) + MS_q²/(Q-1) + MS_e²/((S-1)(Q-1))), at least 1; where a single term is the
    largest, on its own. Nested: Student's t over seed means.

    Queries without a value in every seed are left out. Where that leaves fewer than 80 %, all cells are used: the
    sums of squares by seed and by query, with the residual of the additive fit; no claim may rest on it if the
    complete queries alone have a mean of another sign. With one seed only the queries vary, and with two the interval
    is wide: neither carries a claim.

    Args:
        values: Float[ndarray, "seed query *rest"]; NaN is masked.
        level: of the interval, two-sided and uncorrected.
        kind: "crossed", the same queries in all seeds; "nested", queries drawn anew in each.
        binary: "share" for values 0 and 1, "difference" for differences of two such (-1, 0, 1). The interval comes from
            a table with pseudo-queries 1, 1, 0, 0 (or +1, -1), equal in all seeds, and is cut to the range; the mean
            does not. (Nested: they count once in all, and the variance is at least that of single queries.)
        limits: a range to cut the interval to, for other measures.
        null: the value that `p` is against.

    Returns:
        An `Estimate`.

    Raises:
        AnalysisError: no seed or query axis, a level outside (0, 1), or an unknown `kind` or `binary`.

    Source: the variance of a crossed random-effects mean, Cornfield and Tukey 1956; Owen, Annals of Applied Statistics
    2007 (the pigeonhole bootstrap) for the same quantity; degrees of freedom, Satterthwaite 1946; pseudo-observations,
    Agresti and Coull 1998.

    >>> import iclmech as icl
    >>> right = [[1, 1, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]]  # [seed, query]
    >>> found = icl.statistics.two_way_interval(right, binary="share")
    >>> round(float(found.mean), 2), round(float(found.low), 2), round(float(found.high), 2)
    (0.67, 0.17, 1.0)
    """
    table = _checked(values, level, kind, binary)
    rest = table.shape[2:]
    flat = table.reshape(*table.shape[:2], -1)
    present = ~np.isnan(flat)
    seeds = np.asarray(np.any(present, axis=1))
    complete = np.asarray(np.all(present | ~seeds[:, None], axis=0) & np.any(present, axis=0))
    kept = complete.mean(axis=0)
    pads = PSEUDO_QUERIES.get(binary or "", ())
    if kind == "nested":
        plain, padded = _nested(flat, present, ()), _nested(flat, present, pads)
        claims = np.ones(kept.shape, dtype=bool)
    else:
        plain, padded, claims = _crossed(flat, present, complete, pads)
    n_seeds = seeds.sum(axis=0)
    scale = np.nanmax(np.where(present, np.abs(flat), 0.0), axis=(0, 1), initial=0.0)
    found = _interval(plain.mean, padded, scale, level, null, RANGES.get(binary or "", limits))
    claims = claims & (n_seeds >= SEEDS_FOR_CLAIMS) & ~np.isnan(found[0])
    columns = (plain.mean, *found, kept, n_seeds, claims)
    return Estimate(*(np.asarray(column).reshape(rest) for column in columns))


def _checked(values: ArrayLike, level: float, kind: str, binary: str | None) -> np.ndarray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 2 or 0 in table.shape[:2]:
        raise AnalysisError(
            f"got values of shape {table.shape}; expected [seed, query, ...] with at least one of each."
        )
    if not 0 < level < 1:
        raise AnalysisError(f"got the level {level}; expected one between 0 and 1, such as 0.95.")
    if kind not in ("crossed", "nested"):
        raise AnalysisError(f"got kind={kind!r}; expected 'crossed' (the same queries in all seeds) or 'nested'.")
    if binary not in (None, "share", "difference"):
        raise AnalysisError(f"got binary={binary!r}; expected 'share', 'difference' or None.")
    extreme = np.nanmax(np.abs(table), initial=0.0)
    if binary is not None and extreme > 1 + 1e-9:
        raise AnalysisError(f"got values up to {extreme:g} with binary={binary!r}; expected none beyond 1.")
    return table


def _interval(
    mean: np.ndarray,
    moments: _Moments,
    scale: np.ndarray,
    level: float,
    null: float,
    limits: Sequence[float] | None,
) -> tuple[np.ndarray, ...]:
    """(low, high, se, df, p); NaN where the variance is nothing but rounding."""
    se = np.sqrt(moments.variance)
    se = np.where(se > 1e-12 * scale, se, np.nan)
    df = np.where(np.isnan(se) | np.isnan(mean), np.nan, np.maximum(moments.df, 1.0))
    half = stats.t.ppf((1 + level) / 2, df) * se
    low, high = moments.mean - half, moments.mean + half
    if limits is not None:
        low, high = np.clip(low, limits[0], limits[1]), np.clip(high, limits[0], limits[1])
    p = 2 * stats.t.sf(np.abs(moments.mean - null) / se, df)
    return low, high, se, df, p


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    total, count = np.broadcast_arrays(np.asarray(total, dtype=np.float64), count)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _crossed(
    flat: np.ndarray, present: np.ndarray, complete: np.ndarray, pads: Sequence[float]
) -> tuple[_Moments, _Moments, np.ndarray]:
    """Moments of the values, the same with pseudo-queries, and whether both estimates agree in sign."""
    used = present & complete
    plain, padded = _two_way(flat, used), _two_way(*_padded(flat, used, present, pads))
    agree = np.ones(complete.shape[1], dtype=bool)
    few = complete.mean(axis=0) < COMPLETE
    if few.any():
        every, seen = flat[:, :, few], present[:, :, few]
        unbalanced = _two_way(every, seen)
        agree[few] = np.sign(unbalanced.mean) == np.sign(plain.mean[few])
        with_pads = _two_way(*_padded(every, seen, seen, pads))
        for old, new in ((plain, unbalanced), (padded, with_pads)):
            for column, replacement in zip(old, new, strict=True):
                column[few] = replacement
    return plain, padded, agree


def _padded(
    flat: np.ndarray, used: np.ndarray, present: np.ndarray, pads: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-queries appended in every seed that has values at all."""
    if not pads:
        return flat, used
    shape = (flat.shape[0], len(pads), flat.shape[2])
    extra = np.broadcast_to(np.asarray(pads)[None, :, None], shape)
    seen = np.broadcast_to(present.any(axis=1, keepdims=True), shape)
    return np.concatenate([flat, extra], axis=1), np.concatenate([used, seen], axis=1)


def _two_way(flat: np.ndarray, used: np.ndarray) -> _Moments:
    """Moments of a table in which some cells are not used; the textbook's two-way analysis where all of them are.

    By seed the sum of squares is Σ_s (Σ_q d)², d the deviation from the mean, and by query likewise; the residual is
    that of the additive fit. With n cells, Var = max(V_s + V_q - V_e, V_s, V_q) with V_s = S/(S-1)·Σ_s(Σ_q d)²/n²,
    V_q = Q/(Q-1)·Σ_q(Σ_s d)²/n², V_e = Σ r²/(df_e·n): on a full table these are MS_s, MS_q, MS_e, each over S·Q.
    """
    n = used.sum(axis=(0, 1))
    mean = _ratio(np.where(used, flat, 0.0).sum(axis=(0, 1)), n)
    deviation = np.where(used, flat - mean, 0.0)
    dof, part = [], []
    for axis in (1, 0):
        groups = used.any(axis=axis).sum(axis=0)
        squares = np.square(deviation.sum(axis=axis)).sum(axis=0)
        dof.append(groups - 1)
        part.append(np.nan_to_num(_ratio(groups * squares, (groups - 1) * n.astype(np.float64) ** 2)))
    free = np.maximum(n - dof[0] - dof[1] - 1, 0)
    residual = np.square(_residual(deviation, used)).sum(axis=(0, 1))
    v_s, v_q, v_e = part[0], part[1], np.nan_to_num(_ratio(residual, free * n))
    total = v_s + v_q - v_e
    parts = [np.nan_to_num(_ratio(v**2, d)) for v, d in ((v_s, dof[0]), (v_q, dof[1]), (v_e, free))]
    satterthwaite = _ratio(np.square(total), np.sum(parts, axis=0))
    variance = np.maximum(total, np.maximum(v_s, v_q))
    alone = np.where(v_s >= v_q, dof[0], dof[1])
    df = np.where((total >= np.maximum(v_s, v_q)) & (satterthwaite > 0), satterthwaite, alone)
    return _Moments(mean, np.where(n > 0, variance, np.nan), df.astype(np.float64))


def _residual(deviation: np.ndarray, used: np.ndarray) -> np.ndarray:
    """What seeds and queries do not explain: means of rows and columns taken out in turn until none are left.

    Once is enough where every query used has all seeds.
    """
    left, tolerance = deviation, 1e-10 * np.abs(deviation).max(initial=0.0)
    for _ in range(50):
        largest = 0.0
        for axis in (1, 0):
            means = np.nan_to_num(_ratio(left.sum(axis=axis), used.sum(axis=axis)))
            left = np.where(used, left - np.expand_dims(means, axis), 0.0)
            largest = max(largest, float(np.abs(means).max(initial=0.0)))
        if largest <= tolerance:
            break
    return left


def _nested(flat: np.ndarray, present: np.ndarray, pads: Sequence[float]) -> _Moments:
    """Student's t over seed means (over queries where there is one seed); with pseudo-queries at least single queries' variance."""
    count = present.sum(axis=1)
    within = _ratio(np.where(present, flat, 0.0).sum(axis=1), count)
    seeds = (count > 0).sum(axis=0)
    mean = _ratio(np.nansum(within, axis=0), seeds)
    between = _ratio(np.nansum((within - mean) ** 2, axis=0), np.maximum(seeds - 1, 0) * seeds)
    n = count.sum(axis=0)
    total, squares = np.where(present, flat, 0.0).sum(axis=(0, 1)), np.where(present, flat**2, 0.0).sum(axis=(0, 1))
    total, squares, cells = total + sum(pads), squares + sum(p * p for p in pads), n + len(pads)
    centre = _ratio(total, cells)
    single = _ratio(np.maximum(squares - cells * centre**2, 0.0), (cells - 1) * cells)
    one = seeds < 2
    variance = np.where(one, single, np.fmax(between, single) if pads else between)
    floor = one | (variance > np.nan_to_num(between)) if pads else one
    df = np.where(floor, cells - 1, seeds - 1).astype(np.float64)
    return _Moments(np.where(n > 0, centre, np.nan) if pads else mean, np.where(n > 0, variance, np.nan), df)


def paired_difference(a: ArrayLike, b: ArrayLike) -> Float[np.ndarray, "seed query *rest"]:
    """a - b in the cells that are valid on both sides, NaN elsewhere: what a contrast of two measures is made of.

    A cell masked on one side only is left out of both, so that the difference of two conditional shares (Rec2FTP of
    two updates, say) never compares different queries.

    Args:
        a, b: values [seed, query, ...] of the same seeds and queries, NaN where masked.

    Raises:
        AnalysisError: different shapes.

    >>> import iclmech as icl
    >>> icl.statistics.paired_difference([[1.0, float("nan")]], [[0.25, 1.0]])
    array([[0.75,  nan]])
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape:
        raise AnalysisError(f"got shapes {x.shape} and {y.shape}; expected the same seeds and queries on both sides.")
    return x - y
