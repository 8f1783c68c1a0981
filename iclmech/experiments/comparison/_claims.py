"""What a comparison claims: learning in context, what the updates taught, each update against each control.

Every claim rests on paired differences by query, with the two-way interval over seeds and queries. Intervals are
uncorrected; a verdict is given where Holm's p over all verdicts of the result is below .05. A claim that needs all of
several contrasts takes the largest p of them, uncorrected within.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iclmech._base import Claim
from iclmech._base._claims import Verdict
from iclmech.analysis.statistics import SEEDS_FOR_CLAIMS, all_of, holm

from ._interval_names import FEW
from ._roster import Contrast
from ._titles import phrase, update_short

if TYPE_CHECKING:
    from ._result import Comparison

MEASURE = "sim_aou"
ALPHA = 0.05
OLD_FILE = "this file holds no paired two-way estimates; run it again"
BASELINES = {"zs": "zero-shot", "constant": "the best constant answer"}


class Estimated(NamedTuple):
    """A paired difference: what it is from, its mean, interval and p, and why no claim may rest on it ("" where one may)."""

    beside: str
    mean: float
    low: float
    high: float
    p: float
    why_not: str


@dataclass(frozen=True)
class _Draft:
    """A claim before the correction for its number."""

    claim: str
    parts: list[Estimated]
    rule: str
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def least(self) -> Estimated:
        """The smallest of the differences that it needs."""
        return min(self.parts, key=lambda part: (np.isfinite(part.mean), part.mean))

    @property
    def why_not(self) -> str:
        """Why it cannot be judged."""
        return next((part.why_not for part in self.parts if part.why_not), "")

    @property
    def p(self) -> float:
        """Of the claim; of the contrary where one of the differences lies below zero."""
        if self.why_not:
            return float("nan")
        return self.least.p if self.least.mean < 0 else all_of([part.p for part in self.parts])

    def judged(self, adjusted: float, family: int) -> Claim:
        """The claim with its verdict."""
        least, verdict = self.least, "not shown"
        if adjusted < ALPHA:  # not so for NaN
            verdict = "holds" if least.mean > 0 else "does not hold"
        rule = f"{self.rule}; p < {ALPHA:g} after Holm's correction for {family} verdicts"
        about = {**self.about, "p": self.p, "p_adjusted": adjusted, "family": family, "why_not": self.why_not}
        numbers = (least.mean, least.low, least.high)
        return Claim(self.claim, *numbers, least.beside, rule + _because(self.why_not), _verdict(verdict), about)


def _verdict(word: str) -> Verdict:
    return word  # type: ignore[return-value]  # one of its values


def _because(why_not: str) -> str:
    return f" (not judged: {why_not})" if why_not else ""


def gains(result: Comparison, setting: str, baseline: str = "zs") -> list[Estimated]:
    """Accuracy of `setting` beyond a baseline, trained model, one for each learning rate that it depends on."""
    means = result.means
    if "gain" not in means:
        return _old_gains(result, setting) if baseline == "zs" else []
    if setting not in {str(s) for s in means["setting"].values}:
        return []
    entry = result.roster.settings.get(setting)
    found = []
    for position in range(means.sizes["lr"] if entry is not None and entry.by_rate else 1):
        at = {"setting": setting, "baseline": baseline}
        mean, ci, p, claims, by_seed = (
            means[f"gain{part}"].sel(at).isel(lr=position) for part in ("", "_ci", "_p", "_claims", "_by_seed")
        )
        why = (
            ""
            if bool(claims)
            else _reason(int((~np.isnan(by_seed.values)).sum()), ci.values, "right answers are not known")
        )
        low, high = (float(v) for v in ci.values)
        found.append(Estimated(BASELINES[baseline], float(mean), low, high, float(p), why))
    return found


def _old_gains(result: Comparison, setting: str) -> list[Estimated]:
    """Of a file from before accuracies were paired: means only."""
    means = result.means
    if "accuracy_overall" not in means or not {setting, "zs"} <= {str(s) for s in means["setting"].values}:
        return []
    accuracy = means["accuracy_overall"].sel(variant="trained")
    entry = result.roster.settings.get(setting)
    differences = np.atleast_1d((accuracy.sel(setting=setting) - accuracy.sel(setting="zs")).values)
    nothing = float("nan")
    shown = differences if entry is not None and entry.by_rate else differences[:1]
    return [Estimated(BASELINES["zs"], float(d), nothing, nothing, nothing, OLD_FILE) for d in shown]


def _reason(n_seeds: int, bounds: Any, otherwise: str = "in too many layers one side is masked") -> str:
    if n_seeds == 0:
        return otherwise
    if n_seeds < SEEDS_FOR_CLAIMS:
        return FEW
    return "no spread, so no interval" if not np.isfinite(np.asarray(bounds, dtype=float)).all() else otherwise


def claims_of(result: Comparison) -> list[Claim]:
    """All claims, in reading order; one for each learning rate where there are several."""
    drafts = [*_learning(result), *_teaching(result)]
    for update in result.roster.updates:
        drafts += _likeness(result, update)
    adjusted = holm([draft.p for draft in drafts]) if drafts else []
    return [draft.judged(float(p), len(drafts)) for draft, p in zip(drafts, adjusted, strict=True)]


def _learning(result: Comparison) -> Iterator[_Draft]:
    parts = [part for baseline in BASELINES for part in gains(result, "icl", baseline)]
    if parts:
        rule = "accuracy above zero-shot and above the best constant answer, paired by query"
        yield _Draft("learns in context", parts, rule, {"setting": "icl"})


def _teaching(result: Comparison) -> Iterator[_Draft]:
    for update in result.roster.updates:
        found, rates = gains(result, f"ft:{update}"), _rates(result, update)
        for part, rate in zip(found, rates, strict=False):
            name = f"{update_short(update)} on the demonstrations raises accuracy"
            text = f"{name}, rate {rate:.3g}" if len(found) > 1 else name
            about = {"setting": f"ft:{update}", "update": update, "lr": rate}
            yield _Draft(text, [part], "accuracy above zero-shot, paired by query", about)


def _rates(result: Comparison, update: str) -> list[float]:
    means = result.means
    if "lr_value" not in means.coords:
        return [float("nan")]
    return [float(rate) for rate in means["lr_value"].sel(update=update).values]


def contrasts_of(result: Comparison, update: str) -> list[Contrast]:
    """The contrasts of an update that sentences speak of: with its controls by rank, then with other updates."""
    held = {str(name) for name in result.means["contrast"].values} if "contrast" in result.means.coords else set()
    mine = [
        c
        for c in result.roster.contrasts.values()
        if c.update == update and c.name in held and c.left.variant == "trained"
    ]
    return [c for c in mine if phrase(c.control)] + [c for c in mine if c.other]


def _likeness(result: Comparison, update: str) -> Iterator[_Draft]:
    """An update against each control and other update, then against all controls at once, by learning rate."""
    table = result.summary([MEASURE] if MEASURE in result.means else []).to_dict("records")
    rows = [(c, row) for c in contrasts_of(result, update) for row in table if row["name"] == c.name]
    paired = f"{MEASURE}_contrast_p" in result.means
    everything: dict[int, list[Estimated]] = {}
    name = update_short(update)
    for contrast, row in rows:
        against = update_short(contrast.other) if contrast.other else phrase(contrast.control)
        why = "" if row["claims"] else _reason(row["n_seeds"], (row["low"], row["high"])) if paired else OLD_FILE
        part = Estimated(against, row["mean"], row["low"], row["high"], row["p"], why)
        if contrast.control:
            everything.setdefault(row["lr"], []).append(part)
        about = {"update": update, "control": contrast.control, "other": contrast.other, "lr": row["lr_value"]}
        rule = f"{MEASURE} higher, mean over layers, paired by seed and query"
        text = f"{name} is more like ICL than {against}{_at_rate(row)}"
        yield _Draft(text, [part], rule, {**about, "n_seeds": row["n_seeds"]})
    for position, parts in everything.items():
        row = next(r for _, r in rows if r["lr"] == position)
        rule = f"{MEASURE} higher than under all of: {', '.join(part.beside for part in parts)}"
        about = {"update": update, "every": True, "lr": row["lr_value"], "n_seeds": row["n_seeds"]}
        yield _Draft(f"{name} is more like ICL than every control that was run{_at_rate(row)}", parts, rule, about)


def _at_rate(row: dict[str, Any]) -> str:
    return f", rate {row['lr_value']:.3g}" if row["lr"] else ""
