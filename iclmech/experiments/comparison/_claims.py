"""What a comparison claims: learning in context, what the updates taught, each update against each control.

Every claim rests on Student's 95 % interval over seeds, each a fresh draw of demonstrations, of a paired difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iclmech._base import Claim, by_interval
from iclmech.analysis.statistics import seed_spread

from ._roster import Contrast
from ._titles import phrase, update_short

if TYPE_CHECKING:
    from ._result import Comparison

MEASURE = "sim_aou"
RULE = "Student's 95 % interval over seeds of the paired difference lies above zero"


class Gain(NamedTuple):
    """Accuracy of a setting minus zero-shot accuracy, in points, per learning rate, with Student's interval over seeds."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def learned(self) -> bool | None:
        """Above zero at every learning rate; None where it cannot be said (one seed, or masked)."""
        if not np.isfinite(self.low).all() or not self.low.size:
            return None
        return bool((self.low > 0).all())

    @property
    def text(self) -> str:
        """+12 [+8, +16], from the first to the last learning rate."""
        parts = []
        for mean, low, high in zip(*self, strict=True):
            interval = f" [{_points(low)}, {_points(high)}]" if np.isfinite(low) else ""
            parts.append(f"{_points(mean)}{interval}")
        return "; ".join(dict.fromkeys(parts))


def gain(result: Comparison, setting: str) -> Gain:
    """What `setting` of the trained model gains on zero-shot, seed by seed."""
    data = result.means
    nothing = np.full(1, np.nan)
    if "accuracy_overall_by_seed" not in data or not {setting, "zs"} <= {str(s) for s in data["setting"].values}:
        return Gain(nothing, nothing, nothing)
    accuracy = data["accuracy_overall_by_seed"].sel(variant="trained").transpose("setting", "seed", "lr")
    difference = np.asarray((accuracy.sel(setting=setting) - accuracy.sel(setting="zs")).values, dtype=float)
    entry = result.roster.settings.get(setting)
    if entry is None or not entry.by_rate:
        difference = difference[:, :1]
    found, _ = seed_spread(100 * difference)
    return Gain(found.mean, found.low, found.high)


def claims_of(result: Comparison) -> list[Claim]:
    """All claims, in reading order; one for each learning rate where there are several."""
    updates = list(result.roster.updates)
    found = _gains(result, "icl", "learns in context", {"setting": "icl"})
    for update in updates:
        name = f"{update_short(update)} on the demonstrations raises accuracy"
        found += _gains(result, f"ft:{update}", name, {"setting": f"ft:{update}", "update": update})
    table = [
        r
        for r in result.summary([MEASURE] if MEASURE in result.means else []).to_dict("records")
        if r["kind"] == "contrast"
    ]
    for update in updates:
        for contrast in contrasts_of(result, update):
            found += [_claim(contrast, row) for row in table if row["name"] == contrast.name]
    return found


def contrasts_of(result: Comparison, update: str) -> list[Contrast]:
    """The contrasts of an update that sentences speak of: with its controls by rank, then with other updates."""
    held = {str(name) for name in result.means["contrast"].values} if "contrast" in result.means.coords else set()
    mine = [
        c
        for c in result.roster.contrasts.values()
        if c.update == update and c.name in held and c.left.variant == "trained"
    ]
    return [c for c in mine if phrase(c.control)] + [c for c in mine if c.other]


def _gains(result: Comparison, setting: str, claim: str, about: dict[str, Any]) -> list[Claim]:
    found = gain(result, setting)
    rates = [float("nan")] * len(found.mean)
    several = len(rates) > 1
    if "update" in about and "lr_value" in result.means.coords:
        rates = [float(r) for r in result.means["lr_value"].sel(update=about["update"]).values]
    claims = []
    for rate, mean, low, high in zip(rates, *found, strict=False):
        numbers = (float(mean) / 100, float(low) / 100, float(high) / 100)
        rule = "Student's 95 % interval over seeds of accuracy beyond zero-shot lies above zero"
        text = f"{claim}, rate {rate:.3g}" if several else claim
        claims.append(Claim(text, *numbers, "zero-shot", rule, by_interval(*numbers[1:]), {**about, "lr": rate}))
    return claims


def _claim(contrast: Contrast, row: dict[str, Any]) -> Claim:
    against = update_short(contrast.other) if contrast.other else phrase(contrast.control)
    rate = f", rate {row['lr_value']:.3g}" if row["lr"] else ""
    verdict = by_interval(row["seed_low"], row["seed_high"]) if row["n_seeds"] > 1 else "not shown"
    about = {"update": contrast.update, "control": contrast.control, "other": contrast.other, "lr": row["lr_value"]}
    text = f"{update_short(contrast.update)} is more like ICL than {against}{rate}"
    return Claim(
        text,
        row["mean"],
        row["seed_low"],
        row["seed_high"],
        against,
        RULE,
        verdict,
        {**about, "n_seeds": row["n_seeds"]},
    )


def _points(x: float) -> str:
    digits = 0 if abs(x) >= 1 else 1
    return f"{x:+.{digits}f}".replace("-", "−") if np.isfinite(x) else "–"
