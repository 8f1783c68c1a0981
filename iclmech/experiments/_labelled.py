"""Small pieces of labelled datasets: texts, and means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from iclmech.analysis.statistics import clustered_bootstrap


def text_array(values: Sequence[str]) -> np.ndarray:
    """Strings as an array that comes back the same from a file."""
    return np.array([str(v) for v in values], dtype=object)


def add_interval(
    data: xr.Dataset, name: str, dims: tuple[str, ...], values: np.ndarray, *, n_boot: int, level: float, crossed: bool
) -> None:
    """Add `name` (dims) and `name_ci` (dims, bound) from values [cluster, item, *dims].

    `crossed`: items are the same in every cluster (queries over seeds); else they belong to it (queries of a context).
    """
    found = clustered_bootstrap(values, n_boot=n_boot, level=level, crossed=crossed)
    data[name] = (dims, found.mean)
    data[f"{name}_ci"] = ((*dims, "bound"), np.stack([found.low, found.high], axis=-1))
