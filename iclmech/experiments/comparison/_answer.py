"""The answer in sentences, made from the claims alone: a word stronger than "not shown" needs a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iclmech._base import Claim

from ._claims import ALPHA, MEASURE, Estimated, gains
from ._interval_names import interval_name
from ._likeness import Against, Rows, accuracy_of, follows, spanned
from ._roster import Entry
from ._titles import comparison_title, setting_title, update_short

if TYPE_CHECKING:
    from ._result import Comparison

UNRELATED = "icl:unrelated_text"
_RATE_NOTES = ("format only", "no rate", "no learning rate", "taught nothing")


def answer(result: Comparison) -> list[str]:
    """What the context does, what the updates teach, how alike they are, what follows, and how sure that is.

    "More", "less", "gain" and "loss" are said only where the claim behind them holds, or does not, after the correction
    for the number of verdicts, at every learning rate of the result; everything else is "not shown".
    """
    measures = [m for m in ("accuracy", MEASURE) if f"{m}_overall" in result.means]
    table: Rows = [r for r in result.summary(measures).to_dict("records") if r["kind"] != "contrast"]
    updates = list(result.roster.updates)
    claims = result.judged()
    sentences = [
        _learned(result, claims, table),
        _taught(result, claims, table, updates),
        _alike(result, table, updates),
        follows(claims, table, updates),
        _certainty(result, claims),
    ]
    return [sentence for sentence in sentences if sentence]


def _points(found: list[Estimated]) -> str:
    """+12 [+8, +16] points, by learning rate."""

    def one(x: float) -> str:
        digits = 0 if abs(x) >= 0.01 or x == 0 else 1
        return f"{100 * x:+.{digits}f}".replace("-", "−")

    parts = [
        one(f.mean) + (f" [{one(f.low)}, {one(f.high)}]" if np.isfinite(f.low) else "")
        for f in found
        if np.isfinite(f.mean)
    ]
    means = sorted({one(f.mean) for f in found if np.isfinite(f.mean)}, key=lambda text: float(text.replace("−", "-")))
    if len(dict.fromkeys(parts)) > 1:  # by learning rate: their intervals stand in the claims
        return f"{means[0]} to {means[-1]} points" if len(means) > 1 else f"{means[0]} points"
    return f"{parts[0]} points" if parts else ""


def _learned(result: Comparison, claims: list[Claim], table: Rows) -> str:
    """What demonstrations in context gain, and what a text without a task gains in their place."""
    p = result.provenance
    beside = []
    for baseline, title in (("zs", "without them"), ("constant", "for the best constant answer")):
        level = accuracy_of(table, "zs") if baseline == "zs" else _chance(result)
        points = _points(gains(result, "icl", baseline))
        if level:
            beside.append(f"{level} {title}" + (f" ({points})" if points else ""))
    claim = next((c for c in claims if c.about.get("setting") == "icl"), None)
    verdict = "" if claim is None else f": {_learning_verdict(claim)}"
    alone = accuracy_of(table, UNRELATED)
    if alone:
        points, similar = _points(gains(result, UNRELATED)), _similarity(table, UNRELATED)
        beyond = f" ({points} on zero-shot)" if points else ""
        verdict += f"; unrelated text in their place alone gives {alone}{beyond}" + (
            f", and a SimAOU with ICL of {similar}" if similar else ""
        )
    return (
        f"With {p.get('k', 'its')} demonstrations in context, {p.get('model', {}).get('name', 'the model')} answers "
        f"{accuracy_of(table, 'icl') or 'an unknown share'} of {p.get('n_queries', 'its')} queries of "
        f"{p.get('task', {}).get('name', 'the task')} correctly, against {' and '.join(beside) or 'nothing known'}{verdict}."
    )


def _chance(result: Comparison) -> str:
    chance = np.asarray(result.means["chance"].values, dtype=float) if "chance" in result.means else np.array([])
    return spanned([100 * float(np.nanmean(chance))], "\u00a0%", 0) if np.isfinite(chance).any() else ""


def _learning_verdict(claim: Claim) -> str:
    if claim.verdict == "holds":
        return "it learns in context"
    if claim.verdict == "does not hold":
        return f"a loss against {claim.control}, and so no learning in context"
    why = f" ({claim.about['why_not']})" if claim.about.get("why_not") else ""
    return f"that it learns in context is not shown{why}"


def _taught(result: Comparison, claims: list[Claim], table: Rows, updates: list[str]) -> str:
    """What the same demonstrations teach as weight updates."""
    parts = []
    for update in updates:
        setting = f"ft:{update}"
        mine = [c for c in claims if c.about.get("setting") == setting]
        points = _points(gains(result, setting))
        verdict = Against("", "", mine).verdict
        means = {
            "above": "a gain",
            "below": "a loss",
            "not shown": "not shown to be a gain or a loss",
        }.get(verdict, "")
        about = ", ".join(filter(None, (f"{points} on zero-shot" if points else "", means if points else "")))
        title = setting_title(Entry("", update, tuned=True))
        parts.append(f"{accuracy_of(table, setting) or 'an unknown share'} {title}" + (f" ({about})" if about else ""))
    notes = _rate_notes(result, updates)
    return (
        f"As weight updates, with none in the prompt, the same demonstrations give {' and '.join(parts)}{notes}."
        if parts
        else ""
    )


def _rate_notes(result: Comparison, updates: list[str]) -> str:
    """Updates whose rate was found to teach the format alone, or no rate to help: those sentences of the notes."""
    said = []
    for note in result.notes:
        words = note.replace(":", " ").replace(",", " ").split()
        named = " and ".join(update_short(u) for u in updates if u in words or update_short(u) in words)
        for sentence in note.split(". "):
            if any(mark in sentence.lower() for mark in _RATE_NOTES):
                said.append(f"{named}: " * bool(named) + sentence.strip().rstrip("."))
    return f" (of the learning rates it was noted: {'; '.join(dict.fromkeys(said))})" if said else ""


def _similarity(table: Rows, name: str, variant: str = "trained") -> str:
    rows = [
        r for r in table if (r["measure"], r["kind"], r["name"], r["variant"]) == (MEASURE, "comparison", name, variant)
    ]
    rows = [r for r in rows if np.isfinite(r["mean"])]
    text = spanned([float(r["mean"]) for r in rows]) if rows else ""
    if len(rows) == 1 and np.isfinite(rows[0]["low"]):
        text += f" [{rows[0]['low']:.2f}, {rows[0]['high']:.2f}]".replace("-", "−")
    return text


def _alike(result: Comparison, table: Rows, updates: list[str]) -> str:
    parts = []
    for update in updates:
        own = _similarity(table, update)
        if not own:
            parts.append(f"undefined for {update_short(update)} (every shift is masked)")
            continue
        pairs = ((_similarity(table, update, "untrained"), "on the untrained model"),
                 (_similarity(table, f"{update}:random_update"), "for a random weight change"))  # fmt: skip
        beside = [f"{value} {what}" for value, what in pairs if value]
        parts.append(f"{own} for {update_short(update)}" + (f" ({', '.join(beside)})" if beside else ""))
    contexts = [
        f"{value} for {comparison_title(entry)}"
        for entry in result.roster.comparisons.values()
        if entry.name.startswith("icl:") and (value := _similarity(table, entry.name))
    ]
    others = f"; between the context and another one it is {', '.join(contexts)}" if contexts else ""
    return (
        "The cosine between what the context and what an update changes in the attention outputs (SimAOU, mean over layers) is "
        f"{', '.join(parts)}{others}."
    )


def _certainty(result: Comparison, claims: list[Claim]) -> str:
    """What the brackets are, and what a verdict needs."""
    why = next((c.about["why_not"] for c in claims if c.about.get("why_not")), "")
    named = interval_name(result.means)
    if not claims or all(c.about.get("why_not") for c in claims):
        return f"Brackets: {named}; no claim is made{f' ({why})' if why else ''}."
    family = claims[0].about["family"]
    return f"Brackets: {named}; a verdict needs p < {ALPHA:g} after Holm's correction for the {family} verdicts of this result."
