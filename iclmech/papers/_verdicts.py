"""From readings to verdicts: one rule for all papers.

Every claim has a margin δ. With intervals corrected for the number of claims of the paper (Holm): *holds* where the interval
lies on the claim's side of δ, *does not hold* where it lies on the other side, *not shown* otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from iclmech._base import Claim, Verdict

from ._paper import NAN, PaperClaim, Reading

ALPHA = 0.05
ENOUGH = 3
"""Seeds below which no claim is made."""
QUICK = "quick: no claim"
OWN, DESCRIPTIVE = "the experiment's own", "descriptive"


def judged(claims: Sequence[PaperClaim], readings: Sequence[Reading | None], quick: bool) -> list[Claim]:
    """Each claim with its number and its verdict; None stands for a claim that was not asked."""
    from iclmech.analysis.statistics import holm

    raw = [NAN if r is None else p_value(c, r) for c, r in zip(claims, readings, strict=True)]
    family = [n for n, p in enumerate(raw) if not math.isnan(p)]
    adjusted = dict(zip(family, (float(p) for p in holm([raw[n] for n in family])), strict=True)) if family else {}
    return [
        _judge(c, r, raw[n], adjusted.get(n, NAN), len(family), quick)
        for n, (c, r) in enumerate(zip(claims, readings, strict=True))
    ]


def p_value(claim: PaperClaim, reading: Reading) -> float:
    """Two-sided, of the number against the margin, uncorrected; NaN for what is judged otherwise, or cannot be.

    The experiment's own p where the margin is zero. Else from the 95 % interval, whose half-width towards the margin is that of
    Student's t: with the degrees of freedom at which the interval and the experiment's p go together, where there is such a p;
    else with n - 1, so that the correction for several claims is rather too strict than too kind.
    """
    known = all(map(math.isfinite, (reading.measured, reading.low, reading.high)))
    told = claim.rule in (OWN, DESCRIPTIVE) or reading.exact or reading.barred
    if told or reading.n < ENOUGH or not known or reading.low == reading.high:
        return NAN
    if claim.rule != "within":
        return _against(reading, claim.margin)
    inside = abs(reading.measured) < claim.margin
    ends = [_against(reading, end) for end in (-claim.margin, claim.margin)]
    return max(ends) if inside else ends[reading.measured > 0]


def _against(reading: Reading, margin: float | int) -> float:
    from scipy.stats import t

    if margin == 0 and math.isfinite(reading.p):
        return float(reading.p)
    away = reading.measured - margin
    half = reading.measured - reading.low if away > 0 else reading.high - reading.measured
    if half <= 0:  # an interval that was cut to the range of the number
        half = reading.high - reading.low
    freedom = _freedom(reading)
    return float(2 * t.sf(abs(away) / half * t.ppf(0.975, freedom), freedom))


def _freedom(reading: Reading) -> float:
    """Degrees of freedom at which Student's t has this interval and this p against zero; n - 1 where none or all do."""
    from scipy.optimize import brentq
    from scipy.stats import t

    half = reading.measured - reading.low if reading.measured > 0 else reading.high - reading.measured
    if not (math.isfinite(reading.p) and 0 < reading.p < 1) or half <= 0 or reading.measured == 0:
        return float(reading.n - 1)

    def apart(log_freedom: float) -> float:
        freedom = math.exp(log_freedom)
        found = 2 * t.sf(abs(reading.measured) / half * t.ppf(0.975, freedom), freedom)
        return math.log(max(found, 1e-300) / reading.p)

    ends = (0.0, math.log(1e5))
    if apart(ends[0]) * apart(ends[1]) >= 0:
        return float(reading.n - 1)
    return math.exp(float(brentq(apart, *ends)))  # type: ignore[arg-type]  # a root, not the report of the search


def on_its_side(claim: PaperClaim, measured: float | int) -> bool:
    """Whether a number lies where the claim says."""
    if claim.rule == "within":
        return abs(measured) < claim.margin
    return measured < claim.margin if claim.rule == "below" else measured > claim.margin


def _judge(
    claim: PaperClaim, reading: Reading | None, p: float | int, adjusted: float | int, family: int, quick: bool
) -> Claim:
    about = {
        "source": claim.source, "side": claim.rule, "effect": claim.effect, "unit": claim.unit, "margin": NAN, "run": claim.run,
        "p": float(p), "p_adjusted": float(adjusted), "n": 0, "note": claim.why_not,
    }  # fmt: skip
    if reading is None or reading.why_not:
        about["note"] = claim.why_not or (reading.why_not if reading else "")
        return Claim(claim.claim, NAN, NAN, NAN, claim.control, claim.rule_text, "not applicable", about)
    verdict, why = _verdict(claim, reading, float(adjusted), quick)
    rule = reading.rule or claim.rule_text
    if math.isfinite(p):
        rule += f"; p < {ALPHA:g} after Holm's correction for {family}"
    notes = [reading.note, reading.barred, why, claim.otherwise if verdict in ("does not hold", "not shown") else ""]
    about |= {"n": reading.n, "note": "; ".join(filter(None, notes))}
    about["margin"] = NAN if claim.rule in (OWN, DESCRIPTIVE) else float(claim.margin)
    control = reading.control or claim.control
    numbers = (float(reading.measured), float(reading.low), float(reading.high))
    return Claim(claim.claim, *numbers, control, rule, verdict, about)


def _verdict(claim: PaperClaim, reading: Reading, adjusted: float, quick: bool) -> tuple[Verdict, str]:
    """The verdict, and why there is none where there is none."""
    if claim.rule == DESCRIPTIVE:
        return "not applicable", "descriptive: there is nothing to hold or not"
    if claim.rule != OWN and reading.exact:
        return ("holds" if on_its_side(claim, reading.measured) else "does not hold"), ""
    if not reading.exact and reading.n < ENOUGH:
        return (QUICK, "") if quick else ("not shown", f"fewer than {ENOUGH} seeds carry no claim")
    if reading.barred:
        return "not shown", ""
    if claim.rule == OWN:
        return reading.verdict or "not shown", ""
    if math.isnan(adjusted):
        return "not shown", "no interval, so no verdict"
    if adjusted >= ALPHA:
        return "not shown", ""
    return ("holds" if on_its_side(claim, reading.measured) else "does not hold"), ""
