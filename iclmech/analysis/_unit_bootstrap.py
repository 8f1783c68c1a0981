"""The bootstrap over units of unequal size: demonstration sets with all their queries, or queries where there is one set."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from iclmech._base import np_rng

from ._states import AnalysisError


def unit_means(
    values: ArrayLike, units: ArrayLike, *, n_boot: int = 1000, seed: int = 0
) -> Float[np.ndarray, "replicate *rest"]:
    """Means over queries of resampled units, each drawn with all its queries.

    Args:
        values: [query, ...]; NaN stays NaN.
        units: of every query, the demonstration set it stands behind. Where all stand behind one, every query is a unit.
        n_boot: how many replicates.
        seed: draws them; the draws depend on it and on the units alone, so those of two measures are paired.

    Returns:
        One mean for each replicate.

    Raises:
        AnalysisError: another number of units than of queries.

    >>> unit_means([1.0, 1.0, 3.0], [0, 0, 1], n_boot=2).shape
    (2,)
    """
    array = np.asarray(values, dtype=float)
    _, unit = np.unique(np.asarray(units), return_inverse=True)
    if not len(unit) or len(array) != len(unit):
        raise AnalysisError(f"got values of {len(array)} queries and units of {len(unit)}; expected as many, and some.")
    unit = unit if unit.max() else np.arange(len(unit))
    size = int(unit.max()) + 1
    drawn = np_rng(seed, "units").integers(size, size=(n_boot, size))
    counts = np.stack([np.bincount(row, minlength=size) for row in drawn])[:, unit].astype(float)
    means = counts @ array.reshape(len(unit), -1) / counts.sum(axis=1, keepdims=True)
    return means.reshape(n_boot, *array.shape[1:])


def unit_halves(units: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the queries that share no unit (boolean masks): choose on the first, measure on the second.

    >>> [half.tolist() for half in unit_halves([5, 5, 7])]
    [[True, True, False], [False, False, True]]
    """
    _, unit = np.unique(np.asarray(units), return_inverse=True)
    unit = unit if len(unit) and unit.max() else np.arange(len(unit))
    first = unit % 2 == 0
    return first, ~first
