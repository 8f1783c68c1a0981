"""What `patch` found: log-odds regained place by place, with controls; what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result, by_interval
from iclmech.analysis.statistics import unit_halves, unit_means

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"icl": "ICL", "zs": "zero-shot", "corrupted": "permuted labels"}


class Patch(Result):
    """How much of the answer comes back at every place.

    `data`: `regained` (control, layer, head), of sites without heads (control, layer), with leading axes site and role where
    there are several: mean change of the right answer's log-odds, nats; `regained_ci` (..., bound), a bootstrap over
    demonstration sets; `share`: as a share of the whole way from `into` to `source`; `regained_by_query` (query, ...);
    `log_odds` (setting: source, into; query). control: none, random_state, other_query.
    """

    kind = "patch"

    @property
    def way(self) -> float:
        """Mean log-odds of the source minus those of the run that it is put into, nats."""
        means = self.data["log_odds"].mean("query")
        return float(means.sel(setting="source") - means.sel(setting="into"))

    def summary(self) -> pd.DataFrame:
        """A row for every place and control, the largest regained first within a control; shares beside it."""
        table: Any = self.data[["regained", "share"]].to_dataframe().reset_index()
        ends = self.data["regained_ci"]
        for name in ("low", "high"):
            table[name] = ends.sel(bound=name).to_dataframe("end").reset_index()["end"]
        order = {control: n for n, control in enumerate(self.data["control"].values)}
        table["rank"] = table["control"].map(order)
        table = table.sort_values(["rank", "regained"], ascending=[True, False], kind="stable", ignore_index=True)
        return table.drop(columns="rank")

    def tables(self) -> dict[str, pd.DataFrame]:
        """The ten places that bring most back."""
        return {"Places that bring most back": self.summary().query("control == 'none'").head(10)}

    def judged(self) -> list[Claim]:
        """Whether the best place, chosen on half of the queries, beats its controls on the others."""
        values = self.data["regained_by_query"]
        units = self.data["demonstrations"].values
        first, second = unit_halves(units)
        if not second.any():
            return []
        own = values.sel(control="none")
        mean = own.isel(query=np.flatnonzero(first)).mean("query")
        best = {
            d: int(n) for d, n in zip(mean.dims, np.unravel_index(int(mean.values.argmax()), mean.shape), strict=True)
        }
        name = self.place_name(best)
        rows = np.flatnonzero(second)
        at = values.isel({"query": rows, **best})
        claims = []
        for control, claim, what in (
            ("random_state", f"{name} brings the answer back", "a random state as far away"),
            ("other_query", f"what {name} brings belongs to the query", "the state of another query"),
        ):
            difference = (at.sel(control="none") - at.sel(control=control)).values
            low, high = (float(v) for v in np.quantile(unit_means(difference, units[rows]), [0.025, 0.975]))
            rule = f"the place is chosen on half of the queries; on the others it regains more than {what}, by the interval"
            mean_difference = float(difference.mean())
            claims.append(Claim(claim, mean_difference, low, high, what, rule, by_interval(low, high)))
        return claims

    def place_name(self, at: dict[Any, int]) -> str:
        """How a place is called: L3H1, or resid_post after layer 3, with role and site where there are several."""
        label = {d: self.data[d].values[n] for d, n in at.items()}
        head = f"H{label['head']}" if "head" in label else ""
        more = [str(label[d]) for d in ("site", "role") if d in label]
        own = [] if head or "site" in label else [str(self.data["site"].values)]
        return " ".join([*own, *more, f"L{label['layer']}{head}"])

    def answer(self) -> list[str]:
        """How far the best place goes, and the claims."""
        if self.missing:
            return [self.missing]
        share: xr.DataArray = self.data["share"].sel(control="none")
        at = {
            d: int(n)
            for d, n in zip(share.dims, np.unravel_index(int(share.values.argmax()), share.shape), strict=True)
        }
        source, into = (NAMES.get(str(self.provenance.get(n)), "") for n in ("source", "into"))
        means = self.data["log_odds"].mean("query")
        text = (
            f"From {into} to {source} the right answer gains {self.way:.2f} nats of log-odds "
            f"({float(means.sel(setting='into')):.2f} to {float(means.sel(setting='source')):.2f}); "
            f"the best single place, {self.place_name(at)}, brings {float(share.isel(at)):.0%} of that back."
        )
        return [text, *super().answer()]
