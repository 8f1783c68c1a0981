"""What the orders say: whether ICL agrees with itself in another order more often than with anything else."""

from __future__ import annotations

from typing import Any

import xarray as xr

from iclmech._base import Claim
from iclmech.analysis.statistics import holm


def claims_of(data: xr.Dataset) -> list[Claim]:
    """Whether in-context predictions agree between orders more than an update's do with them, p by Holm's correction."""
    pairs = [str(p) for p in data["pair"].values][1:] if "pair" in data.coords else []
    if "lead" not in data:
        return [_unjudged(data, pair) for pair in pairs]
    at = [data.sel(pair=pair) for pair in pairs]
    p_values = [float(d["lead_p"]) if bool(d["lead_claims"]) else float("nan") for d in at]
    found = []
    for pair, d, raw, p in zip(pairs, at, p_values, holm(p_values) if pairs else (), strict=True):
        mean, (low, high) = float(d["lead"]), (float(v) for v in d["lead_ci"].values)
        verdict: Any = "not shown" if not p < 0.05 else "holds" if mean > 0 else "does not hold"
        rule = f"paired difference by query, two-way over seeds and queries; p < 0.05 after Holm's correction for {len(pairs)}"
        found.append(
            Claim(_more_often(pair), mean, low, high, _other(pair), rule, verdict, {"p": raw, "p_adjusted": float(p)})
        )
    return found


def answer_of(data: xr.Dataset) -> list[str]:
    """How often ICL agrees with itself in another order, and with everything else; each verdict by the claims."""
    if "pair" not in data.coords:
        return []
    words = {"holds": "less often than with itself", "does not hold": "more often than with itself"}
    same, ci = data["same_prediction"], data["same_prediction_ci"]

    def share(pair: str) -> str:
        low, high = (100 * float(v) for v in ci.sel(pair=pair).values)
        return f"{100 * float(same.sel(pair=pair)):.0f}\u00a0% [{low:.0f}, {high:.0f}]"

    first = str(data["pair"].values[0])
    parts = [
        f"{share(f'icl~{claim.control}')} with {claim.control}, {words.get(claim.verdict, 'not shown to differ from itself')}"
        for claim in claims_of(data)
    ]
    interval = "95\u00a0% two-way intervals over seeds and queries" if "lead" in data else "bootstrap intervals"
    return [
        f"In context, {share(first)} of the predictions are the same in another order; ICL agrees on {'; on '.join(parts)} "
        f"(brackets: {interval}, uncorrected)."
    ]


def _other(pair: str) -> str:
    return pair.partition("~")[2]


def _more_often(pair: str) -> str:
    return f"ICL agrees with itself in another order more often than with {_other(pair)}"


def _unjudged(data: xr.Dataset, pair: str) -> Claim:
    """Of a file from before the pairs were compared query by query."""
    own, other = (float(data["same_prediction"].sel(pair=p)) for p in (str(data["pair"].values[0]), pair))
    rule = "not judged: this file holds no paired difference; run it again"
    return Claim(_more_often(pair), own - other, float("nan"), float("nan"), _other(pair), rule, "not shown")
