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
    curves: Mapping[str, RateCells], names: Sequence[str] = (), level: float = 0.95
) -> dict[str, tuple[tuple[str, ...], Any]]:
    """SimAOU of every update minus that of the first, at the smaller of the two displacements of their chosen rates.

    Layers without a common range are left out. Examples are drawn anew with each draw of demonstrations, so the interval is
    Student's over draws.

    Args:
        curves: by update; the first is the one that the others are held against.
        names: the axis "update" of what is returned, those of `curves` by default.
        level: of the interval.

    Returns:
        Variables by "update", NaN for the first and for those without a curve: the difference with its interval, the displacement by layer that it was read
        at (NaN where a layer is left out), and how many layers are in it.
    """
    names, reference = list(names or curves), next(iter(curves))
    first = curves[reference]
    n_layers = first.sim_aou.shape[-1]
    mean, count = np.full(len(names), math.nan), np.zeros(len(names))
    interval, at = np.full((len(names), 2), math.nan), np.full((len(names), n_layers), math.nan)
    for u, name in enumerate(names):
        if name == reference or name not in curves:
            continue
        other = curves[name]
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


def in_words(who: str, variables: Mapping[str, tuple[tuple[str, ...], Any]], position: int, prefix: str = "") -> str:
    """A note: by how much one is more similar, and at what displacement.

    >>> one = {"difference": [0.1], "difference_ci": [[-0.1, 0.3]], "at": [[0.2, float("nan")]], "layers": [1.0]}
    >>> in_words("lcgd beside gd", {f"equal_displacement_{k}": ((), np.array(v)) for k, v in one.items()}, 0)
    "lcgd beside gd, at equal displacement (0.2, 1 layer, held-out training examples): SimAOU +0.10 [−0.10, +0.30] (95 %, Student's over draws)."
    """
    mean, ci, at, layers = (
        variables[f"{prefix}equal_displacement_{part}"][1][position]
        for part in ("difference", "difference_ci", "at", "layers")
    )
    n = int(layers)
    if not n:
        return f"{who}: in no layer is there a displacement that both reach, so they are not compared at one."
    numbers = f"SimAOU {mean:+.2f} [{ci[0]:+.2f}, {ci[1]:+.2f}]".replace("-", "−")
    where = f"{np.nanmean(at):.2g}, {n} layer{'s' * (n > 1)}, held-out training examples"
    return f"{who}, at equal displacement ({where}): {numbers} (95 %, Student's over draws)."
