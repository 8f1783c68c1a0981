"""The summary as tables of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech.experiments import comparison_title, contrast_title, setting_title
from iclmech.figures import measure_name

from ._escape import shown
from ._page import Table

if TYPE_CHECKING:
    from iclmech.experiments import Comparison

_TITLES = {
    "setting": "Settings",
    "comparison": "Comparisons: what each does beside what the context does",
    "contrast": "Paired differences",
}


def tables(result: Comparison) -> list[Table]:
    """One table per kind of number, every measure below one another; each number has two intervals."""
    summary: list[dict[str, Any]] = result.summary().to_dict("records")
    several = result.means.sizes.get("lr", 1) > 1
    names = {
        "setting": {n: setting_title(e) for n, e in result.roster.settings.items()},
        "comparison": {n: comparison_title(e) for n, e in result.roster.comparisons.items()},
        "contrast": {n: contrast_title(c) for n, c in result.roster.contrasts.items()},
    }
    return [
        Table(title, _head(kind, several), [_row(r, kind, several, names[kind]) for r in part])
        for kind, title in _TITLES.items()
        if (part := [r for r in summary if r["kind"] == kind and _shown(r)])
    ]


def _shown(row: dict[str, Any]) -> bool:
    """It has a number, or is masked altogether (which the reader should see)."""
    return bool(np.isfinite(row["mean"]) or row["masked"] > 0)


def _head(kind: str, several: bool) -> list[str]:
    what = {"setting": "setting", "comparison": "comparison", "contrast": "difference"}[kind]
    model = [] if kind == "contrast" else ["model"]
    rate = ["learning rate"] if several else []
    masked = [] if kind == "contrast" else ["masked"]
    return [
        "measure",
        what,
        *model,
        *rate,
        "mean",
        "95 % over seeds and queries",
        "95 % over seeds alone",
        "seeds",
        *masked,
    ]


def _row(row: dict[str, Any], kind: str, several: bool, names: dict[str, str]) -> list[str]:
    name = shown(names.get(row["name"], row["name"]))
    rate = [f"{row['lr_value']:.2g}" if np.isfinite(row["lr_value"]) else "–"] if several else []
    cells = [measure_name(row["measure"]), name, *([] if kind == "contrast" else [shown(row["variant"])]), *rate]
    cells += [
        _number(row["mean"]),
        _interval(row["low"], row["high"]),
        _interval(row["seed_low"], row["seed_high"]),
        str(row["n_seeds"]),
    ]
    return cells if kind == "contrast" else [*cells, f"{row['masked']:.0%}" if np.isfinite(row["masked"]) else "–"]


def _number(x: float) -> str:
    return "–" if not np.isfinite(x) else f"{x:.3f}".replace("-", "−")


def _interval(low: float, high: float) -> str:
    return f"[{_number(low)}, {_number(high)}]" if np.isfinite(low) and np.isfinite(high) else "–"
