"""What a course of similarity over training says."""

from __future__ import annotations

from typing import Any

import numpy as np

from iclmech._base import Claim, Verdict, by_interval
from iclmech.experiments import update_short

from ._history import interval


def likeness_claims(result: Any) -> list[Claim]:
    """Claims about every update of a `SimilarityOverTraining`."""
    found: list[Claim] = []
    for update in result.updates:
        title = update_short(update)
        found += [_at_the_end(result, update, title), _labels(result, update, title), _made(result, update, title)]
        found.append(_before(result, update, title))
    return found


def _at_the_end(result: Any, update: str, title: str) -> Claim:
    mean, low, high = result.at("above_control", update=update)
    rule = "at the last snapshot, the interval of SimAOU less that of the control lies above 0"
    claim = f"In the end the context does what {title} does, more than any change of that size"
    return Claim(
        claim, mean, low, high, "a random change with the same effect at every layer", rule, by_interval(low, high)
    )


def _labels(result: Any, update: str, title: str) -> Claim:
    mean, low, high = result.at("label_specific", update=update)
    rule = "at the last snapshot, the interval of the label-specific similarity lies above 0"
    verdict: Verdict = by_interval(low, high) if mean == mean else "not applicable"
    claim = f"In the end the likeness to {title} is one in what the labels say"
    return Claim(claim, mean, low, high, "other labellings of the same demonstrations", rule, verdict)


def _made(result: Any, update: str, title: str) -> Claim:
    first, last = (result.at("above_control", n, update=update) for n in (0, -1))
    verdict: Verdict = "holds" if last[1] > first[2] else "does not hold" if last[2] < first[1] else "not shown"
    rule = "SimAOU less that of the control: the interval at the last snapshot lies above that at the first"
    claim = f"Training made the likeness to {title}"
    return Claim(claim, last[0] - first[0], float("nan"), float("nan"), "the first snapshot", rule, verdict)


def _before(result: Any, update: str, title: str) -> Claim:
    table = result.half_rises()
    lead = (table["accuracy"] - table[update]).to_numpy()
    known = lead[~np.isnan(lead)]
    low, high = interval(known)
    rule = "steps from half-rise of SimAOU above its control to half-rise of accuracy; at least 3 runs, their interval above 0"
    verdict: Verdict = by_interval(low, high) if known.size > 2 else "not shown"
    mean = float(known.mean()) if known.size else float("nan")
    claim = f"The likeness to {title} is there before learning in context is"
    return Claim(claim, mean, low, high, "half-rise of accuracy in context, steps", rule, verdict)
