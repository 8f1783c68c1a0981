"""From the results of cells to one labelled dataset over all axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ._axes import Axis


def join(axes: Sequence[Axis], found: Mapping[tuple[int, ...], xr.Dataset], holes: np.ndarray) -> xr.Dataset:
    """One dataset: the axes in front, then each variable's own dimensions, by label.

    Args:
        axes: of the sweep.
        found: position on the axes → the data of a cell.
        holes: [*axes], why a cell is not there, or "".

    Returns:
        Every variable of every cell, NaN (a text: "") where a cell or a label of it is missing; `hole`. A dimension that has
        one position everywhere and is called like an axis is left out; a longer one is called "<name>_in_cell".
    """
    shape, names = tuple(len(axis.values) for axis in axes), tuple(axis.name for axis in axes)
    fields = {f for axis in axes for f in axis.fields}
    cells = {at: _apart(data, fields) for at, data in found.items()}
    labels = _labels(cells.values())
    joined = xr.Dataset({"hole": (names, holes)})
    for axis in axes:
        for f in axis.fields:
            joined.coords[f] = (axis.name, _array(axis.coordinate(f)))
    for dim, known in labels.items():
        joined.coords[dim] = (dim, _array(known))
    for name in dict.fromkeys(str(n) for data in cells.values() for n in data.variables):
        if name not in labels and name != "hole":
            joined[name] = _variable(name, cells, labels, names, shape)
    return joined


def _apart(data: xr.Dataset, fields: set[str]) -> xr.Dataset:
    """The data of a cell without names that are axes."""
    for name in [str(d) for d in data.dims if d in fields]:
        data = data.isel({name: 0}, drop=True) if data.sizes[name] == 1 else data.rename({name: f"{name}_in_cell"})
    return data.drop_vars([name for name in data.variables if name in fields])


def _labels(cells: Any) -> dict[str, list[Any]]:
    """Dimension → its labels in all cells, in order of appearance; numbers in ascending order."""
    found: dict[str, dict[Any, None]] = {}
    for data in cells:
        for dim, size in data.sizes.items():
            own = data.coords[dim].values.tolist() if dim in data.coords else list(range(size))
            found.setdefault(str(dim), {}).update(dict.fromkeys(own))
    return {
        dim: sorted(own) if all(isinstance(v, int | float) for v in own) else list(own) for dim, own in found.items()
    }


def _variable(
    name: str,
    cells: Mapping[tuple[int, ...], xr.Dataset],
    labels: Mapping[str, list[Any]],
    axes: tuple[str, ...],
    shape: Any,
) -> tuple[tuple[str, ...], np.ndarray]:
    """A variable of all cells in one array."""
    own = {at: data[name].variable for at, data in cells.items() if name in data.variables}
    dims = tuple(dict.fromkeys(str(d) for v in own.values() for d in v.dims))
    sizes = tuple(len(labels[d]) for d in dims)
    kinds = {v.dtype.kind for v in own.values()}
    whole = len(own) == np.prod(shape, dtype=int) and all(
        v.shape == sizes and tuple(v.dims) == dims for v in own.values()
    )
    if not kinds <= set("fiub"):
        full = np.full((*shape, *sizes), "", dtype=object)
    elif whole:
        full = np.empty((*shape, *sizes), dtype=np.result_type(*(v.dtype for v in own.values())))
    else:
        full = np.full((*shape, *sizes), np.nan)
    places = {d: {label: n for n, label in enumerate(labels[d])} for d in dims}
    for at, variable in own.items():
        data = cells[at]
        where = [
            [
                places[d][label]
                for label in (data.coords[d].values.tolist() if d in data.coords else range(data.sizes[d]))
            ]
            if d in variable.dims
            else list(range(len(labels[d])))
            for d in dims
        ]
        values = variable.set_dims(
            {d: data.sizes[d] if d in variable.dims else len(labels[d]) for d in dims}
        ).transpose(*dims)
        full[(*at, *(np.ix_(*where)))] = values.values if dims else variable.values
    return (*axes, *dims), full


def _array(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=object) if any(isinstance(v, str) for v in values) else np.array(values)
