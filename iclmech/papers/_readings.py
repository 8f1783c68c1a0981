"""Picking a claim's number out of a result: a claim of its own, a variable with its interval, one number for each seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iclmech._base import Claim, ICLMechError, Result, Verdict

from ._paper import NAN, Reading

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_DRAWS = ("seeds", "n_contexts", "n_episodes")
"""Fields of requests that say how many independent draws stand behind an interval."""


def draws(result: Result) -> int:
    """How many independent draws a result rests on: seeds, or sets of demonstrations where one seed draws several."""
    asked: Mapping[str, Any] = result.provenance.get("request") or {}
    counts = [len(v) if isinstance(v, list | tuple) else int(v) for v in (asked.get(name) for name in _DRAWS) if v]
    return max(counts, default=0)


def claim_of(result: Result, words: str) -> Claim:
    """The first claim of a result whose sentence contains these words.

    Raises:
        ICLMechError: it makes no such claim.
    """
    found = [claim for claim in result.judged() if words in claim.claim]
    if not found:
        made = "; ".join(claim.claim for claim in result.judged()) or "none"
        raise ICLMechError(f"got a {result.kind} result without a claim on {words!r}; it has: {made}.")
    return found[0]


def claimed(words: str, *, n: int = 0, note: str = "", part: str = "") -> Callable[[Any], Reading]:
    """Reads the number of a result's own claim, with its interval and its p.

    Args:
        words: part of the claim's sentence.
        n: independent draws behind it; by default what the result's request says.
        note: beside the row.
        part: which result, where the run made several.
    """

    def read(result: Any) -> Reading:
        found: Result = result[part] if part else result
        claim = claim_of(found, words)
        units = int(claim.about.get("n_seeds", 0)) or n or draws(found)
        p, barred = float(claim.about.get("p", NAN)), str(claim.about.get("why_not", ""))
        return Reading(
            claim.measured, claim.low, claim.high, units, p, claim.verdict, claim.rule, note=note, barred=barred
        )  # fmt: skip

    return read


def valued(claim: Callable[[Any], Reading]) -> Callable[[Any], Reading]:
    """Reads the number of a result's own claim to be judged by the paper's rule and margin, not by that claim's."""

    def read(result: Any) -> Reading:
        found = claim(result)
        return replace(found, verdict=None, rule="")

    return read


def _bounded(data: Any, name: str, **at: Any) -> tuple[float, float, float]:
    """A variable and its interval `<name>_ci` at some coordinates: (value, low, high)."""
    low, high = (float(v) for v in data[f"{name}_ci"].sel(at).values)
    return float(data[name].sel(at)), low, high


def variable(name: str, *, n: int = 0, note: str = "", **at: Any) -> Callable[[Result], Reading]:
    """Reads a variable that has an interval `<name>_ci`, at some of its coordinates."""

    def read(result: Result) -> Reading:
        return Reading(*_bounded(result.data, name, **at), n or draws(result), note=note)

    return read


def over_seeds(values: ArrayLike, note: str = "") -> Reading:
    """The mean of one number for each seed, with Student's interval; NaN ones are left out and counted."""
    import numpy as np

    from iclmech.analysis.statistics import seed_spread

    array = np.asarray(values, dtype=float)
    known = array[np.isfinite(array)]
    lost = f"{len(array) - len(known)} of {len(array)} runs without a value" if len(known) < len(array) else ""
    said = "; ".join(filter(None, (note, lost)))
    if not len(known):
        return Reading(NAN, n=0, note=said)
    found, _ = seed_spread(known)
    low, high = (float(found.low), float(found.high)) if len(known) > 1 else (NAN, NAN)
    return Reading(float(found.mean), low, high, len(known), note=said)


def in_every_run(values: ArrayLike, fine: ArrayLike, rule: str, note: str = "") -> Reading:
    """The range of one number for each run, by the rule that every one of them has to fulfil."""
    import numpy as np

    array, fulfil = np.asarray(values, dtype=float), np.asarray(fine, dtype=bool)
    known = array[np.isfinite(array)]
    mean, low, high = (float(f(known)) for f in (np.mean, np.min, np.max)) if len(known) else (NAN, NAN, NAN)
    verdict: Verdict = "holds" if fulfil.all() else "not shown" if fulfil.any() else "does not hold"
    text = f"{rule} in every run ({int(fulfil.sum())} of {len(array)}); brackets: their range"
    return Reading(mean, low, high, len(array), verdict=verdict, rule=text, note=note)


def in_most(readings: Mapping[str, Reading], floor: float | int) -> Reading:
    """A claim on several tasks: it holds where the interval is above zero in more than half of them and below `floor` in none.

    The number is the median over tasks, the brackets are their range.
    """
    known = sorted(r.measured for r in readings.values() if math.isfinite(r.measured))
    above = sum(r.low > 0 for r in readings.values())
    below = sum(r.high < 0 for r in readings.values())
    far = [name for name, r in readings.items() if r.high < floor]
    verdict: Verdict = "not shown"
    if above > len(readings) / 2 and not far:
        verdict = "holds"
    elif below > len(readings) / 2:
        verdict = "does not hold"
    rule = f"interval above 0 in more than half of the tasks, and below {floor:g} in none ({above} of {len(readings)} above)"
    said = ", ".join(f"{name} {r.measured:+.3f}" for name, r in readings.items())
    middle = len(known) // 2
    median = (known[middle] + known[-1 - middle]) / 2 if known else NAN
    ends = (known[0], known[-1]) if known else (NAN, NAN)
    return Reading(
        median, *ends, min((r.n for r in readings.values()), default=0), verdict=verdict, rule=rule, note=said
    )


def identity(value: float | int, note: str = "") -> Reading:
    """A number in which nothing is random."""
    return Reading(float(value), float(value), float(value), verdict=None, note=note, exact=True)


def contrast(measure: str, name: str) -> Callable[[Any], Reading]:
    """Reads a paired contrast of a comparison, "lcgd - gd", of any measure, at the first learning rate."""

    def read(result: Any) -> Reading:
        at = result.means.sel(contrast=name).isel(lr=0)
        barred = (
            "" if bool(at[f"{measure}_contrast_claims"]) else "too few seeds, or one side is masked in too many layers"
        )
        p = float(at[f"{measure}_contrast_p"])
        return Reading(*_bounded(at, f"{measure}_contrast"), result.means.sizes["seed"], p, barred=barred)

    return read


def overall(measure: str, comparison: str) -> Callable[[Any], Reading]:
    """Reads the mean of a measure in a comparison, trained model, over layers, heads, seeds and queries."""

    def read(result: Any) -> Reading:
        at = result.means.sel(comparison=comparison, variant="trained").isel(lr=0)
        barred = "" if bool(at[f"{measure}_overall_claims"]) else "too few seeds, or masked in too many layers"
        return Reading(*_bounded(at, f"{measure}_overall"), result.means.sizes["seed"], barred=barred)

    return read


def unpaired(result: Result, one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]) -> Reading:
    """One number less another, each with an interval of its own: the interval of the difference is at most that wide.

    Args:
        result: whose variables they are.
        one, other: (variable, where).
    """
    (a, a_low, a_high), (b, b_low, b_high) = (_bounded(result.data, name, **at) for name, at in (one, other))
    note = "interval from two unpaired ones, so rather too wide"
    return Reading(a - b, a_low - b_high, a_high - b_low, draws(result), note=note)


def distances(near: str, far: str, note: str = "") -> Callable[[Result], Reading]:
    """Reads how much farther a learner of functions is from one predictor than from another, mean over prefixes."""

    def read(result: Result) -> Reading:
        found = unpaired(result, ("spd_mean", {"predictor": far}), ("spd_mean", {"predictor": near}))
        return replace(found, note="; ".join(filter(None, (note, found.note))))

    return read


def displaced(comparison: str) -> Callable[[Any], Reading]:
    """Reads how far something moves the states from zero-shot, mean over layers."""
    return overall("displacement", comparison)


def readable(target: str) -> Callable[[Result], Reading]:
    """Reads how much better a probe reads a target in a trained learner of functions than in an untrained one, each at its best."""

    def read(result: Result) -> Reading:
        def best(variant: str) -> tuple[str, dict[str, Any]]:
            values = result.data["r2"].sel(target=target, variant=variant)
            found = {str(axis): values[axis].values[int(n)] for axis, n in values.argmax(("place", "layer")).items()}
            return "r2", {"target": target, "variant": variant, **found}

        mine = best("trained")
        note = f"read at {mine[1]['place']}, layer {mine[1]['layer']}, the best of all"
        found = unpaired(result, mine, best("untrained"))
        return replace(found, note=f"{note}; {found.note}")

    return read


def label_specific(update: str) -> Callable[[Any], Reading]:
    """Reads what the right labels add to the similarity of an update, trained model, mean over layers, seeds and queries."""

    def read(result: Any) -> Reading:
        at = result.means.sel(comparison=update, variant="trained")
        return Reading(*_bounded(at, "sim_aou_labels_mean"), result.means.sizes["seed"])

    return read
