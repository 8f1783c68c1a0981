"""The summary as tables of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech.experiments import comparison_title, contrast_title, interval_name, setting_title
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
    """One table per kind of number, every measure below one another; each number has its interval and the spread over seeds."""
    summary: list[dict[str, Any]] = result.summary().to_dict("records")
    several = result.means.sizes.get("lr", 1) > 1
    names = {
        "setting": {n: setting_title(e) for n, e in result.roster.settings.items()},
        "comparison": {n: comparison_title(e) for n, e in result.roster.comparisons.items()},
        "contrast": {n: contrast_title(c) for n, c in result.roster.contrasts.items()},
    }
    return [
        _claims(result),
        *(
            Table(
                title,
                _head(kind, several, interval_name(result.means)),
                [_row(r, kind, several, names[kind]) for r in part],
            )
            for kind, title in _TITLES.items()
            if (part := [r for r in summary if r["kind"] == kind and _shown(r)])
        ),
    ]


def _claims(result: Comparison) -> Table:
    """Every claim of the family that the correction is for, with what it was judged by."""
    head = ["claim", "verdict", "measured", interval_name(result.means), "against", "p", "p after correction"]
    rows = [
        [shown(c.claim), c.verdict, _number(c.measured), _interval(c.low, c.high), shown(c.control), _p(c.about["p"]),
         _p(c.about["p_adjusted"])]
        for c in result.judged()
    ]  # fmt: skip
    return Table("Claims", head, rows)


def _p(p: float) -> str:
    return "–" if not np.isfinite(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(row: dict[str, Any]) -> bool:
    """It has a number, or is masked altogether (which the reader should see)."""
    return bool(np.isfinite(row["mean"]) or row["masked"] > 0)


def _head(kind: str, several: bool, interval: str) -> list[str]:
    what = {"setting": "setting", "comparison": "comparison", "contrast": "difference"}[kind]
    model = [] if kind == "contrast" else ["model"]
    rate = ["learning rate"] if several else []
    last = ["p, uncorrected"] if kind == "contrast" else ["masked"]
    return [
        "measure",
        what,
        *model,
        *rate,
        "mean",
        interval,
        "standard deviation over seeds",
        "seeds",
        *last,
        "note",
    ]


def _row(row: dict[str, Any], kind: str, several: bool, names: dict[str, str]) -> list[str]:
    name = shown(names.get(row["name"], row["name"]))
    rate = [f"{row['lr_value']:.2g}" if np.isfinite(row["lr_value"]) else "–"] if several else []
    cells = [measure_name(row["measure"]), name, *([] if kind == "contrast" else [shown(row["variant"])]), *rate]
    cells += [
        _number(row["mean"]),
        _interval(row["low"], row["high"]),
        _number(row["seed_sd"]),
        str(row["n_seeds"]),
    ]
    last = _p(row["p"]) if kind == "contrast" else f"{row['masked']:.0%}" if np.isfinite(row["masked"]) else "–"
    return [*cells, last, row["note"]]


def _number(x: float) -> str:
    return "–" if not np.isfinite(x) else f"{x:.3f}".replace("-", "−")


def _interval(low: float, high: float) -> str:
    return f"[{_number(low)}, {_number(high)}]" if np.isfinite(low) and np.isfinite(high) else "–"
