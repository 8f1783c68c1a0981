"""Cells of different sizes in one dataset, by label; holes are NaN with their reason."""

from __future__ import annotations

import numpy as np
import xarray as xr

from iclmech.sweeps._axes import Axis
from iclmech.sweeps._dataset import join

AXES = (Axis(("k", "lr"), ((1, 0.5), (4, 0.1))), Axis(("task",), (("a",), ("b",))))


def cell(layers: list[int], scale: float, **more: object) -> xr.Dataset:
    values = scale * np.arange(len(layers), dtype=np.float32)
    data = xr.Dataset({"s": ("layer", values), "n": ((), np.int64(len(layers)))}, {"layer": layers})
    return data.assign(more) if more else data  # type: ignore[arg-type]


def test_labels_are_matched_and_what_is_missing_is_nan():
    holes = np.array([["", ""], ["", "broken"]], dtype=object)
    data = join(AXES, {(0, 0): cell([0, 1], 1), (0, 1): cell([1, 2], 10), (1, 0): cell([2], 1)}, holes)
    nan = np.nan
    assert data["s"].dims == ("k", "task", "layer")
    np.testing.assert_array_equal(data["s"].values, [[[0, 1, nan], [nan, 0, 10]], [[nan, nan, 0], [nan] * 3]])
    assert data["lr"].dims == ("k",)
    assert data["lr"].sel(k=4) == 0.1
    np.testing.assert_array_equal(data["n"].values, [[2, 2], [1, nan]])
    assert data["hole"].sel(k=4, task="b").item() == "broken"


def test_without_holes_types_stay():
    every = {(a, b): cell([0, 1], 1 + a + b) for a in range(2) for b in range(2)}
    data = join(AXES, every, np.full((2, 2), "", dtype=object))
    assert data["s"].dtype == np.float32
    assert data["n"].dtype == np.int64


def test_a_dimension_called_like_an_axis_stands_aside():
    one = cell(
        [0],
        1,
        first=("k", np.array([7.0])),
        several=("task", np.array([1.0, 2.0])),
        word=((), np.array("x", dtype=object)),
    )
    data = join(AXES, {(0, 0): one}, np.full((2, 2), "", dtype=object))
    assert data["first"].dims == ("k", "task")
    assert data["several"].dims == ("k", "task", "task_in_cell")
    assert data["word"].values.tolist() == [["x", ""], ["", ""]]
