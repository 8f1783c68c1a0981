"""Updates compared where they have moved the states equally far: from the curves that rates were chosen on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from iclmech.analysis.statistics import at_equal_displacement, two_way_interval

VALID = 0.95
"""Share of cells that a layer must have a value in, on both sides, to count."""


class RateCells(NamedTuple):
    """One update on held-out examples, sane rates only: [draw, query, rate, layer]; `chosen`: position of its rate."""

    displacement: np.ndarray
    sim_aou: np.ndarray
    chosen: int


def equal_displacement(
    curves: Mapping[str, RateCells], updates: Sequence[str] = (), level: float = 0.95
) -> dict[str, tuple[tuple[str, ...], Any]]:
    """SimAOU of every update minus that of the first, at the smaller of the two displacements of their chosen rates.

    Layers without a common range are left out. Examples are drawn anew with each draw of demonstrations, so the interval is
    Student's over draws.

    Returns:
        Variables by "update" (`updates`, by default those of the curves), NaN for the first curve and where there is none: the
        difference with its interval, the displacement by layer that it was read at (NaN where a layer is left out), and how
        many layers are in it.
    """
    names = list(updates or curves)
    first = curves[next(iter(curves))]
    n_layers = first.sim_aou.shape[-1]
    mean, count = np.full(len(names), math.nan), np.zeros(len(names))
    interval, at = np.full((len(names), 2), math.nan), np.full((len(names), n_layers), math.nan)
    for u, name in enumerate(names):
        other = curves.get(name)
        if other is None or other is first:
            continue
        sides = ((other.displacement, first.displacement), (other.sim_aou, first.sim_aou))
        found = at_equal_displacement(*sides, (other.chosen, first.chosen))
        kept = (~np.isnan(found.difference)).mean(axis=(0, 1)) >= VALID
        count[u] = kept.sum()
        if not kept.any():
            continue
        estimate = two_way_interval(found.difference[..., kept].mean(axis=-1), level, "nested")
        mean[u], interval[u] = estimate.mean, (estimate.low, estimate.high)
        at[u, kept] = np.nanmean(found.at[..., kept], axis=(0, 1))
    return {
        "equal_displacement_difference": (("update",), mean),
        "equal_displacement_difference_ci": (("update", "bound"), interval),
        "equal_displacement_at": (("update", "layer"), at),
        "equal_displacement_layers": (("update",), count),
    }
