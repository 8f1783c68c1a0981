"""The answer in three sentences, made from the claims. Claims rest on seeds, never on queries alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iclmech._base import REGISTRIES, Claim

from ._claims import MEASURE, claims_of, gain
from ._roster import Entry
from ._titles import setting_title, update_short

if TYPE_CHECKING:
    from ._result import Comparison

Rows = list[dict[str, Any]]
_WORDS = {"holds": "above", "does not hold": "below", "not shown": "no better"}


class Against(NamedTuple):
    """An update against one control, on the level of seeds; one entry per learning rate."""

    control: str
    called: str  # as a sentence names it
    claims: list[Claim]

    @property
    def differences(self) -> list[float]:
        """The paired differences."""
        return [claim.measured for claim in self.claims]

    @property
    def verdict(self) -> str:
        """What holds at every rate; "unknown" where it cannot be said, "no better" where it holds at some only."""
        words = [_word(claim) for claim in self.claims]
        if not words or all(word == "unknown" for word in words):
            return "unknown"
        return words[0] if len(set(words)) == 1 else "no better"

    @property
    def text(self) -> str:
        """The differences with their intervals."""
        return "; ".join(_difference(claim) for claim in self.claims)


def answer(result: Comparison) -> list[str]:
    """Three sentences: what was learned, how alike the changes are beside their controls, what follows.

    "Above" and "below" are said only where Student's 95 % interval over seeds of the paired difference leaves out zero, at
    every learning rate of the result; else the update is "no better than" the control. With one seed no claim is made.
    """
    measures = [m for m in ("accuracy", MEASURE) if f"{m}_overall" in result.means]
    table: Rows = result.summary(measures).to_dict("records")
    updates = list(result.roster.updates)
    claims = claims_of(result)
    return [_learned(result, table, updates), _alike(table, updates), _follows(result, claims, updates)]


def against(claims: list[Claim], update: str, *, others: bool = False) -> list[Against]:
    """The update against each of its controls that was run, or (`others`) against other updates."""
    found: dict[str, Against] = {}
    key = "other" if others else "control"
    for claim in claims:
        if claim.about.get("update") == update and claim.about.get(key):
            name = claim.about[key]
            found.setdefault(name, Against(name, claim.control, [])).claims.append(claim)
    return list(found.values())


def _word(claim: Claim) -> str:
    return "unknown" if not np.isfinite(claim.low) else _WORDS[claim.verdict]


def where(table: Rows, **columns: str) -> Rows:
    """The rows that have these values."""
    return [row for row in table if all(row[c] == value for c, value in columns.items())]


def _difference(claim: Claim) -> str:
    if not np.isfinite(claim.low):
        return _signed(claim.measured)
    return f"{_signed(claim.measured)} [{_signed(claim.low)}, {_signed(claim.high)}]"


def _signed(x: float) -> str:
    return f"{x:+.2f}".replace("-", "−") if abs(x) >= 0.005 or not np.isfinite(x) else f"{x:+.3f}".replace("-", "−")


def _learned(result: Comparison, table: Rows, updates: list[str]) -> str:
    p = result.provenance

    def at(setting: str) -> str:
        rows = where(table, measure="accuracy", variant="trained", name=setting)
        values = [float(r["mean"]) for r in rows if np.isfinite(r["mean"])]
        return _span([100 * v for v in values], "\u00a0%", 0) if values else "an unknown share"

    learned = {u: gain(result, f"ft:{u}").learned for u in updates}
    doubt = {u: " (not shown to be a gain)" if learned[u] is False else "" for u in updates}
    taught = " and ".join(f"{at(f'ft:{u}')} {setting_title(Entry('', u, tuned=True))}{doubt[u]}" for u in updates)
    context = gain(result, "icl")
    points = f", a difference of {context.text} points" if np.isfinite(context.mean).all() else ""
    words = p.get("task", {}).get("label_words") or []
    guess = f" (guessing: {100 / len(words):.0f}\u00a0%)" if len(words) > 1 else ""
    return (
        f"With {p.get('k', 'its')} demonstrations in context, {p.get('model', {}).get('name', 'the model')} answers {at('icl')} "
        f"of {p.get('n_queries', 'its')} queries of {p.get('task', {}).get('name', 'the task')} correctly and {at('zs')} without them{points}{guess}; "
        f"with the same demonstrations as weight updates, and none in the prompt, it answers {taught}."
    )


def _alike(table: Rows, updates: list[str]) -> str:
    def at(name: str, variant: str = "trained") -> list[float]:
        rows = where(table, measure=MEASURE, kind="comparison", name=name, variant=variant)
        return [float(r["mean"]) for r in rows if np.isfinite(r["mean"])]

    parts = []
    for update in updates:
        own, untrained, random = at(update), at(update, "untrained"), at(f"{update}:random_update")
        if not own:
            parts.append(f"undefined for {update_short(update)} (every shift is masked)")
            continue
        pairs = ((untrained, "on the untrained model"), (random, "for a random weight change"))
        beside = [f"{_span(v)} {what}" for v, what in pairs if v]
        parts.append(
            f"{_span(own)} for {update_short(update)}"
            + (f" ({', '.join(beside)})" if beside else " (no control was run)")
        )
    ceiling = at("icl:reordered")
    top = f"; reordering the demonstrations gives {_span(ceiling)}, the ceiling" if ceiling else ""
    return (
        "The cosine between what the context and what an update changes in the attention outputs (SimAOU, mean over layers) is "
        f"{', '.join(parts)}{top}."
    )


def _follows(result: Comparison, claims: list[Claim], updates: list[str]) -> str:
    found = {u: against(claims, u) for u in updates}
    winners = [u for u in updates if found[u] and all(a.verdict == "above" for a in found[u])]
    parts = [_judged(u, found[u]) for u in updates if u not in winners]
    if winners:
        parts.insert(0, _won(winners, found))
    return f"So {_caveat(result)}{'; '.join(parts)}{_between(claims, updates)}."


def _caveat(result: Comparison) -> str:
    """What stands before every verdict where the demonstrations do not help, or may not."""
    context = gain(result, "icl")
    if context.learned is not False:
        return ""
    if context.mean[0] > 0:
        return "(with the reservation that the gain of the demonstrations in context is not certain over these seeds) "
    return "the demonstrations do not help in context here, and there is no in-context learning to be like: "


def _won(winners: list[str], found: dict[str, list[Against]]) -> str:
    """Above every control that was run."""
    names = " and ".join(update_short(u) for u in winners)
    least = {u: min(found[u], key=lambda a: min(a.differences)) for u in winners}
    smallest = ", ".join(f"{update_short(u)} − {a.called} {a.text}" for u, a in least.items())
    controls = list(dict.fromkeys(a.called for u in winners for a in found[u]))
    text = f"{names} {'is' if len(winners) == 1 else 'are'} more similar to ICL than every control that was run ({', '.join(controls)}; smallest: {smallest})"
    if not any(a.control == "untrained" for u in winners for a in found[u]):
        return f"{text}, but without the untrained model as a control this says little"
    return f"{text}, which is evidence of a likeness, not of the same mechanism"


def _judged(update: str, found: list[Against]) -> str:
    name = update_short(update)
    if not found or all(not np.isfinite(a.differences).any() for a in found):
        return f"nothing can be said of {name}: no control was run, or all is masked"
    if all(a.verdict == "unknown" for a in found):
        return f"no claim can be made about {name}: that needs at least two seeds"
    above, level, below = ([a for a in found if a.verdict == v] for v in ("above", "no better", "below"))
    texts = [
        f"{phrase} {', '.join(f'{a.called} (difference {a.text})' for a in part)}"
        for part, phrase in ((level, "is no better than"), (below, "is less similar to ICL than"))
        if part
    ]
    beats = f", though above {', '.join(a.called for a in above)}" if above else ""
    return f"{name} {' and '.join(texts)}{beats}: {_why_not([a.control for a in (*level, *below)])}"


def _why_not(failed: list[str]) -> str:
    """What it means that an update is not above some controls."""
    known = REGISTRIES["control"]
    records = {name: known[name] for name in failed if name in known}
    if len(records) < len(failed) or any(c.basic for c in records.values()):  # the null is no control, and basic
        return "its similarity is no evidence that ICL works like it"
    owed = [c.shows for c in records.values() if c.shows]
    return f"its similarity is not shown to be owed to {' or '.join(owed)}"


def _between(claims: list[Claim], updates: list[str]) -> str:
    texts = []
    for other in updates[1:]:
        for found in against(claims, other, others=True):
            if found.verdict == "unknown":
                continue
            relation = {"above": "more similar to ICL than", "below": "less similar to ICL than"}.get(
                found.verdict, "not shown to differ from"
            )
            texts.append(f"; {update_short(other)} is {relation} {found.called} (difference {found.text})")
    return "".join(texts)


def _span(values: list[float], unit: str = "", digits: int = 2) -> str:
    """One number, or from the least to the greatest over learning rates."""
    if not values:
        return "–"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return (low if low == high else f"{low} to {high}").replace("-", "−") + unit
