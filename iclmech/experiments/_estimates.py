"""Numbers by seed and query as estimates in a dataset, and families of claims on paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from iclmech._base import Claim, Verdict
from iclmech.analysis.statistics import holm, two_way_interval


def add_estimate(
    data: xr.Dataset,
    name: str,
    axes: Sequence[str],
    values: np.ndarray,
    level: float = 0.95,
    *,
    binary: str | None = None,
    limits: Sequence[float] | None = None,
    kind: str = "crossed",
) -> None:
    """Put the mean over seeds and queries into `data[name]`, its interval into `name_ci`, and `name_p`, `name_claims`.

    Args:
        data: with coordinates for `axes`; `bound` is added.
        values: [seed, query, *axes].
        binary, limits, kind: as in `two_way_interval`.
    """
    data.coords["bound"] = ["low", "high"]
    found = two_way_interval(values, level, kind, binary=binary, limits=limits)
    data[name] = (tuple(axes), found.mean)
    data[f"{name}_ci"] = ((*axes, "bound"), np.stack([found.low, found.high], axis=-1))
    data[f"{name}_p"] = (tuple(axes), found.p)
    data[f"{name}_claims"] = (tuple(axes), found.claims.astype(np.int8))


class Lead(NamedTuple):
    """A claim that a paired difference is above zero: its sentence, where the difference stands, what it is against."""

    claim: str
    name: str
    at: Mapping[str, Any]
    control: str


OVER_QUERIES = "paired difference by query, two-way over seeds and queries"


def judge_leads(
    data: xr.Dataset, leads: Sequence[Lead], level: float = 0.95, estimate: str = OVER_QUERIES
) -> list[Claim]:
    """One family of claims, p-values by Holm's correction; fewer than three seeds carry no verdict.

    Args:
        data: holds what `add_estimate` put there.
        leads: the family.
        level: 1 - level is what the corrected p must be below.
        estimate: what the intervals are of, in words.
    """
    if not leads:
        return []
    at = [data.sel(dict(lead.at)) for lead in leads]
    p_values = [
        float(d[f"{x.name}_p"]) if bool(d[f"{x.name}_claims"]) else np.nan for d, x in zip(at, leads, strict=True)
    ]
    rule = f"{estimate}; p < {1 - level:.2g} after Holm's correction"
    if len(leads) > 1:
        rule += f" for {len(leads)}"
    made = []
    for lead, d, raw, p in zip(leads, at, p_values, holm(p_values), strict=True):
        mean, (low, high) = float(d[lead.name]), (float(v) for v in d[f"{lead.name}_ci"].values)
        verdict: Verdict = (
            "not applicable"
            if np.isnan(mean)
            else "not shown"
            if not p < 1 - level
            else "holds"
            if mean > 0
            else "does not hold"
        )
        made.append(
            Claim(
                lead.claim, mean, low, high, lead.control, rule, verdict, {"p": raw, "p_adjusted": float(p), **lead.at}
            )
        )
    return made
