"""When a run changed: its plateau, its rise, and what rose before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd

ABOVE = 0.1
"""How far above guessing among the context's labels a run has left its plateau."""
HIGH = 0.7
"""The accuracy at which its rise is called over."""


def crossing(steps: ArrayLike, values: ArrayLike, level: float) -> float:
    """The first step at which a curve reaches a level, between two evaluations by a straight line; NaN where it never does.

    >>> crossing([0, 100, 200], [0.0, 0.2, 0.6], 0.4)
    150.0
    """
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    at = np.flatnonzero(y >= level)
    if not at.size:
        return float("nan")
    n = int(at[0])
    if n == 0:
        return float(x[0])
    return float(x[n - 1] + (level - y[n - 1]) / (y[n] - y[n - 1]) * (x[n] - x[n - 1]))


def half_rise(steps: ArrayLike, values: ArrayLike) -> float:
    """The step at which a curve has risen half-way from its first to its largest value."""
    y = np.asarray(values, dtype=float)
    return crossing(steps, y, float(y[0] + y.max()) / 2)


def transitions_of(data: xr.Dataset, ability: str) -> pd.DataFrame:
    """One row per run; see `History.transitions`."""
    import pandas as pd

    return pd.DataFrame([_of_run(data.isel(run=n), ability) for n in range(data.sizes["run"])])


def _of_run(data: xr.Dataset, ability: str) -> dict[str, Any]:
    steps, floor = data["step"].values, float(data["chance"].values[-1])
    accuracy = data["accuracy"].sel(test_set=ability).values
    final = float(accuracy[-3:].mean())
    row: dict[str, Any] = {"run": int(data["run"]), "seed": int(data["seed"])}
    row |= {name: str(data[name].values) for name in ("condition",) if name in data.coords}
    leaves, high = crossing(steps, accuracy, floor + ABOVE), crossing(steps, accuracy, HIGH)
    if "attention" in data:
        row |= {f"{name}_half": half_rise(steps, curve) for name, curve in best_heads(data).items()}
        row["label_mass_half"] = half_rise(steps, data["label_mass"].values)
    begins = row.get("label_mass_half", float(steps[0]))
    ends = leaves if leaves == leaves else float(steps[-1])
    on_it = accuracy[(steps >= begins) & (steps < ends)]
    row["plateau"] = float(on_it.mean()) if on_it.size else float("nan")
    row["plateau_steps"] = max(0.0, ends - begins) if begins == begins else float("nan")
    row |= {"leaves": leaves, "rise_steps": high - leaves}
    row["accuracy_half"] = crossing(steps, accuracy, (floor + final) / 2) if final > floor else float("nan")
    return row | {"final": final}


def best_heads(data: xr.Dataset) -> dict[str, np.ndarray]:
    """Curves of the head that ends highest: from labels to items below the last layer, from the query in the last."""
    found = {}
    for name in ("label_to_item", "target_to_labels", "target_to_right"):
        curves = data["attention"].sel(measure=name)
        last = curves.sizes["layer"] - 1
        curves = curves.isel(layer=slice(0, max(1, last))) if name == "label_to_item" else curves.isel(layer=[last])
        flat = curves.values.reshape(len(data["step"]), -1)
        found[name] = flat[:, int(flat[-1].argmax())]
    return found
