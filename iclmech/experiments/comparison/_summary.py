"""From the arrays of a comparison to one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from iclmech._base import ICLMechError
from iclmech.analysis.statistics import seed_spread

from ._interval_names import interval_name, note_of
from ._roster import Roster

KINDS = ("setting", "comparison")
COLUMNS = (
    *("measure", "kind", "name", "variant", "lr", "lr_value", "mean", "low", "high"),
    *("seed_sd", "seed_low", "seed_high", "n_seeds", "masked"),
    *("p", "claims", "interval", "note"),
)
BASELINE_NAMES = {"zs": "zs", "constant": "best constant answer"}


def measures_of(means: xr.Dataset) -> dict[str, str]:
    """Measure → "setting" or "comparison", in the order of the dataset."""
    return {
        str(name): str(array.dims[0])
        for name, array in means.data_vars.items()
        if f"{name}_overall" in means and array.dims[0] in KINDS
    }


def summary_table(means: xr.Dataset, measures: Sequence[str] | None) -> pd.DataFrame:
    """See `Comparison.summary`. Raises `ICLMechError` for a measure that is not there."""
    known = measures_of(means)
    for name in measures or ():
        if name not in known:
            raise ICLMechError(f"got the measure {name!r}; this comparison holds {', '.join(known)}.")
    chosen = {name: known[name] for name in (known if measures is None else measures)}
    roster = Roster.of_data(means)
    rows: list[dict[str, Any]] = []
    for name, kind in chosen.items():
        rows += _overall_rows(means, name, kind, roster)
        rows += _contrast_rows(means, name, roster)
        rows += _gain_rows(means, roster) if name == "accuracy" else ()
    named = interval_name(means)
    return pd.DataFrame([{**row, "interval": named} for row in rows], columns=list(COLUMNS))


def _lr(means: xr.Dataset, update: str, position: int) -> dict[str, Any]:
    if not update:
        return {"lr": position, "lr_value": np.nan}
    return {"lr": position, "lr_value": float(_at(means, "lr_value", {"update": update}).values[position])}


def _at(means: xr.Dataset, name: str, at: dict[str, Any]) -> xr.Variable:
    """What `means[name].sel(at)` holds, "lr" by position; the whole dataset is not walked through for each of some thousand numbers."""
    variable = means.variables[name]
    places = {
        dim: int(label) if dim == "lr" else list(map(str, means.variables[dim].values)).index(str(label))
        for dim, label in at.items()
        if dim in variable.dims
    }
    return variable.isel(places)


def _numbers(means: xr.Dataset, name: str, at: dict[str, Any]) -> dict[str, Any]:
    """Mean, interval, seeds, p and whether a claim may rest on it, of one place in the variables of `name`."""
    held = means.variables
    found = {
        part: _at(means, f"{name}{part}", at)
        for part in ("", "_ci", "_by_seed", "_p", "_claims", "_kept")
        if f"{name}{part}" in held
    }
    values = np.asarray(found["_by_seed"].values, dtype=float)
    t, sd = seed_spread(values)
    low, high = (float(v) for v in found["_ci"].values)
    n_seeds = int((~np.isnan(values)).sum())
    claims = bool(found["_claims"]) if "_claims" in found else False
    return {
        "mean": float(found[""]),
        "low": low,
        "high": high,
        "seed_sd": float(sd),
        "seed_low": float(t.low),
        "seed_high": float(t.high),
        "n_seeds": n_seeds,
        "p": float(found["_p"]) if "_p" in found else np.nan,
        "claims": claims,
        "note": note_of(n_seeds, claims, (low, high), None if "_kept" not in found else xr.DataArray(found["_kept"])),
    }


def _overall_rows(means: xr.Dataset, measure: str, kind: str, roster: Roster) -> Iterator[dict[str, Any]]:
    masked_name = f"{measure}_n_masked"
    masked = means[[masked_name]].mean([d for d in means[measure].dims if d not in (kind, "variant", "lr")])
    entries = roster.settings if kind == "setting" else roster.comparisons
    for name in (str(n) for n in means[kind].values):
        update = entries[name].update if name in entries else ""
        for variant in (str(v) for v in means["variant"].values):
            for position in range(means.sizes["lr"] if update else 1):
                at = {kind: name, "variant": variant}
                left_out = float(_at(masked, masked_name, {**at, "lr": position}))
                if np.isnan(_at(means, f"{measure}_overall", {**at, "lr": position})) and np.isnan(left_out):
                    continue
                yield {
                    "measure": measure,
                    "kind": kind,
                    "name": name,
                    "variant": variant,
                    **_lr(means, update, position),
                    **_numbers(means, f"{measure}_overall", {**at, "lr": position}),
                    "masked": left_out / float(means.attrs["n_queries"]),
                }


def _contrast_rows(means: xr.Dataset, measure: str, roster: Roster) -> Iterator[dict[str, Any]]:
    if f"{measure}_contrast" not in means:
        return
    for name in (str(n) for n in means["contrast"].values):
        update = roster.contrasts[name].update if name in roster.contrasts else ""
        for position in range(means.sizes["lr"]):
            if np.isnan(_at(means, f"{measure}_contrast", {"contrast": name, "lr": position})):
                continue
            yield {
                "measure": measure,
                "kind": "contrast",
                "name": name,
                "variant": str(_at(means, "contrast_variant", {"contrast": name}).values),
                **_lr(means, update, position),
                **_numbers(means, f"{measure}_contrast", {"contrast": name, "lr": position}),
                "masked": np.nan,
            }


def _gain_rows(means: xr.Dataset, roster: Roster) -> Iterator[dict[str, Any]]:
    """Accuracy beyond zero-shot and beyond the best constant answer, paired by query."""
    if "gain" not in means:
        return
    for name in (str(n) for n in means["setting"].values):
        update = roster.settings[name].update if name in roster.settings else ""
        for baseline in (str(b) for b in means["baseline"].values):
            for position in range(means.sizes["lr"] if update else 1):
                at = {"setting": name, "baseline": baseline}
                if np.isnan(_at(means, "gain", {**at, "lr": position})):
                    continue
                yield {
                    "measure": "accuracy",
                    "kind": "contrast",
                    "name": f"{name} - {BASELINE_NAMES[baseline]}",
                    "variant": "trained",
                    **_lr(means, update, position),
                    **_numbers(means, "gain", {**at, "lr": position}),
                    "masked": np.nan,
                }
