"""Reading numbers out of a result."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from iclmech._base import ICLMechError, from_ascii_json
from iclmech.experiments import Roster, interval_name


class Band(NamedTuple):
    """A mean with its interval, arrays of one shape; NaN where masked or not run."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def empty(self) -> bool:
        """No value at all."""
        return self.mean.size == 0 or bool(np.isnan(self.mean).all())


def dataset(result: Any) -> xr.Dataset:
    """The arrays without a query axis of a `Comparison`, or the dataset of any other result, or a dataset itself.

    Raises:
        ICLMechError: none of these.
    """
    for name in ("means", "data"):
        found = getattr(result, name, None)
        if isinstance(found, xr.Dataset):
            return found
    if isinstance(result, xr.Dataset):
        return result
    raise ICLMechError(f"got {type(result).__name__}; expected a result with `.data`, or an xarray.Dataset.")


def need(data: xr.Dataset, names: tuple[str, ...], what: str) -> None:
    """Raise `ICLMechError` when a variable that a figure draws is not in the result."""
    missing = [n for n in names if n not in data.variables]
    if missing:
        raise ICLMechError(
            f"got a result without {', '.join(missing)}; {what} needs it. The result holds: "
            f"{', '.join(sorted(map(str, data.data_vars))) or 'nothing'}."
        )


def labels(data: xr.Dataset, dim: str) -> list[str]:
    """Coordinate labels as strings, [] where the dimension is absent."""
    return [str(v) for v in data[dim].values] if dim in data.coords else []


def updates(data: xr.Dataset) -> list[str]:
    """Names of the updates, in order."""
    return labels(data, "update")


def roster(data: xr.Dataset) -> Roster:
    """The records of what stands in a comparison."""
    return Roster.of_data(data)


def attribute(data: xr.Dataset, name: str, default: Any = None) -> Any:
    """An attribute as a plain number or string."""
    value = data.attrs.get(name, default)
    return value.item() if isinstance(value, np.generic) else value


def number(data: xr.Dataset, name: str) -> float:
    """A variable without axes; NaN where it is not there."""
    return float(data[name].values) if name in data and not data[name].dims else float("nan")


def origin(data: xr.Dataset) -> dict[str, Any]:
    """The provenance of a comparison; {} where there is none."""
    return from_ascii_json(str(data.attrs["provenance"])) if "provenance" in data.attrs else {}


def chance(data: xr.Dataset) -> tuple[float, str]:
    """(accuracy that takes no learning, what it is): of the best constant answer; of guessing in files that do not hold it.

    NaN where neither is known.
    """
    if "chance" in data and not bool(data["chance"].isnull().all()):
        return float(data["chance"].mean()), "best constant answer"
    words = origin(data).get("task", {}).get("label_words") or ()
    return (1 / len(words) if len(words) > 1 else float("nan")), "guessing"


def interval(data: xr.Dataset) -> str:
    """What the intervals of a comparison are: "95 % two-way interval over seeds and queries, uncorrected"."""
    return interval_name(data)


def pooled(data: xr.Dataset, measure: str, lr: int, **at: str) -> Band | None:
    """`measure` over seeds and queries with its interval at a place and a position on the learning-rate grid."""
    return _band(data, f"{measure}_pooled", lr, at)


def overall(data: xr.Dataset, measure: str, lr: int, **at: str) -> Band | None:
    """`measure` over layers and heads too."""
    return _band(data, f"{measure}_overall", lr, at)


def pooled_at(data: xr.Dataset, name: str, lr: int, **at: str) -> float:
    """One number of a variable; NaN where it is not there."""
    array = _at(data, name, lr, at)
    return float("nan") if array is None or array.ndim else float(array)


def by_seed(data: xr.Dataset, measure: str, lr: int, **at: str) -> np.ndarray:
    """One value per seed of what `overall` averages; empty where it is not known."""
    array = _at(data, f"{measure}_overall_by_seed", lr, at)
    return np.array([]) if array is None else np.atleast_1d(np.asarray(array.values, dtype=float)).ravel()


def _band(data: xr.Dataset, name: str, lr: int, at: dict[str, str]) -> Band | None:
    mean, ci = _at(data, name, lr, at), _at(data, f"{name}_ci", lr, at)
    if mean is None:
        return None
    values = np.asarray(mean.values, dtype=float)
    if ci is None:
        return Band(values, np.full(values.shape, np.nan), np.full(values.shape, np.nan))
    bounds = np.asarray(ci.transpose(..., "bound").values, dtype=float)
    return Band(values, bounds[..., 0], bounds[..., 1])


def _at(data: xr.Dataset, name: str, lr: int, at: dict[str, str]) -> xr.DataArray | None:
    if name not in data:
        return None
    array = data[name]
    for dim, label in at.items():
        if dim not in array.dims:
            continue
        if label not in labels(data, dim):
            return None
        array = array.isel({dim: labels(data, dim).index(label)})
    return array.isel(lr=lr) if "lr" in array.dims else array


def check_lr(data: xr.Dataset, lr: int) -> int:
    """A position on the grid. Raises `ICLMechError` outside of it."""
    n = data.sizes.get("lr", 1)
    if not -n <= lr < n:
        raise ICLMechError(f"got lr={lr}; expected a position on the grid of {n} learning rates, 0 to {n - 1}.")
    return lr % n


def lr_value(data: xr.Dataset, update: str, lr: int) -> float:
    """The learning rate of an update at a position; NaN where it is not known."""
    if "lr_value" not in data.variables or update not in updates(data):
        return float("nan")
    return float(data["lr_value"].isel(update=updates(data).index(update)).values.ravel()[lr])


def sample(data: xr.Dataset) -> str:
    """ "n = 256 queries × 3 seeds", what is known of it."""
    queries, seeds = attribute(data, "n_queries"), data.sizes.get("seed")
    parts = [
        f"{int(queries):,}\u00a0queries" if queries else "",
        f"{seeds} seed{'s' if seeds != 1 else ''}" if seeds else "",
    ]
    known = " × ".join(p for p in parts if p)
    return f"n\u00a0=\u00a0{known}." if known else ""


def variants(data: xr.Dataset) -> list[str]:
    """The variants of the model, trained first."""
    return labels(data, "variant") or ["trained"]


def significant(x: float, digits: int = 2) -> str:
    """A number as a reader writes it: .01, 0.25, 1e-05."""
    return f"{x:.{digits}g}" if np.isfinite(x) else "–"
