"""What the intervals of a comparison are called, and what its numbers cannot carry: said wherever they are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from iclmech._base import from_ascii_json
from iclmech.analysis import statistics

FEW = f"fewer than {statistics.SEEDS_FOR_CLAIMS} seeds carry no claim"
MANY_NAMED = 6


def interval_name(means: xr.Dataset) -> str:
    """ "95 % two-way interval over seeds and queries, uncorrected", or what an older file holds in its place."""
    level = _level(means)
    if "interval" not in means:
        return f"{level} bootstrap interval over seeds, then queries, uncorrected"
    if str(means["interval"].values) == "crossed":
        return f"{level} two-way interval over seeds and queries, uncorrected"
    return f"{level} interval over seeds, each with queries of its own, uncorrected"


def _level(means: xr.Dataset) -> str:
    plan: dict[str, Any] = from_ascii_json(str(means.attrs.get("provenance", "{}"))).get("plan") or {}
    return f"{100 * float(plan.get('level', 0.95)):.3g}\u00a0%"


def left_out(kept: xr.DataArray | None) -> str:
    """Which layers and heads do not enter an average: "left out: layer 0"; empty where all do."""
    if kept is None or not kept.dims or bool(kept.all()):
        return ""
    values = np.asarray(kept.values, dtype=bool)
    if not values.any():
        return ""
    layers = ~values.reshape(values.shape[0], -1).any(axis=1)
    axis = str(kept.dims[0])
    names = [f"{axis} {n}" for n in np.flatnonzero(layers)]
    rest = np.argwhere(~values & ~layers.reshape(-1, *[1] * (values.ndim - 1)))
    names += [" ".join(f"{dim} {n}" for dim, n in zip(kept.dims, at, strict=True)) for at in rest]
    if len(names) > MANY_NAMED:
        names = [*names[:MANY_NAMED], f"{len(names) - MANY_NAMED} more"]
    return f"left out: {', '.join(names)}"


def note_of(n_seeds: int, claims: bool, bounds: Any, kept: xr.DataArray | None) -> str:
    """What a reader of one number has to know: too few seeds, no interval, layers left out."""
    found = []
    if n_seeds < statistics.SEEDS_FOR_CLAIMS:
        found.append(FEW)
    elif not np.isfinite(np.asarray(bounds, dtype=float)).all():
        found.append("no spread, so no interval")
    elif not claims:
        found.append("too much is masked: no claim")
    return "; ".join(filter(None, (*found, left_out(kept))))
