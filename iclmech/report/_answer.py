"""The answer in three sentences, made from the numbers and their controls. Claims rest on seeds, never on queries alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iclmech.figures import setting_name, update_name

from ._escape import shown
from ._gains import gain

if TYPE_CHECKING:
    from iclmech.experiments import Comparison

MEASURE = "sim_aou"
Rows = list[dict[str, Any]]


class Against(NamedTuple):
    """An update against one control, on the level of seeds."""

    control: str  # as a sentence names it
    differences: list[float]  # one per learning rate
    verdicts: list[str]  # "above", "no better", "below" or "unknown", one per learning rate
    text: str  # the difference with its interval

    @property
    def verdict(self) -> str:
        """What holds at every rate; "unknown" where it cannot be said, "no better" where it holds at some only."""
        if not self.verdicts or all(v == "unknown" for v in self.verdicts):
            return "unknown"
        return self.verdicts[0] if len(set(self.verdicts)) == 1 else "no better"


_CONTROLS = (  # contrast after "<update>", how a sentence calls the control
    (": trained - untrained", "the untrained model"),
    (" - {u}:random_update", "a random weight change"),
    (" - closed-form null", "the null of isotropic noise"),
    (" - {u}:shuffled_labels", "shuffled labels"),
    (" - {u}:wrong_task", "another task"),
)


_BASIC = tuple(name for _, name in _CONTROLS[:3])  # without beating these a similarity says nothing


def answer(result: Comparison) -> list[str]:
    """Three sentences: what was learned, how alike the changes are beside their controls, what follows.

    "Above" and "below" are said only where Student's 95 % interval over seeds of the paired difference leaves out zero, at
    every learning rate of the result; else the update is "no better than" the control. With one seed no claim is made.
    """
    table: Rows = result.summary(["accuracy", MEASURE]).to_dict("records")
    updates = [str(u) for u in result.means["update"].values]
    return [_learned(result, table, updates), _alike(table, updates), _follows(result, table, updates)]


def contrasts(table: Rows, update: str) -> list[Against]:
    """The update against each of its controls that was run."""
    found = []
    for pattern, name in _CONTROLS:
        at = where(table, measure=MEASURE, kind="contrast", name=update + pattern.format(u=update))
        if at:
            verdicts = [_verdict(r) for r in at]
            found.append(Against(name, [r["mean"] for r in at], verdicts, "; ".join(_difference(r) for r in at)))
    return found


def where(table: Rows, **columns: str) -> Rows:
    """The rows that have these values."""
    return [row for row in table if all(row[c] == value for c, value in columns.items())]


def _verdict(row: dict[str, Any]) -> str:
    if row["n_seeds"] < 2 or not np.isfinite([row["seed_low"], row["seed_high"]]).all():
        return "unknown"
    return "above" if row["seed_low"] > 0 else "below" if row["seed_high"] < 0 else "no better"


def _difference(row: dict[str, Any]) -> str:
    if not np.isfinite(row["seed_low"]):
        return _signed(row["mean"])
    return f"{_signed(row['mean'])} [{_signed(row['seed_low'])}, {_signed(row['seed_high'])}]"


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
    taught = " and ".join(f"{at(f'ft:{u}')} {setting_name(f'ft:{u}')}{doubt[u]}" for u in updates)
    context = gain(result, "icl")
    points = f", a difference of {context.text} points" if np.isfinite(context.mean).all() else ""
    words = p.get("task", {}).get("label_words") or []
    guess = f" (guessing: {100 / len(words):.0f}\u00a0%)" if len(words) > 1 else ""
    return (
        f"With {p.get('k', 'its')} demonstrations in context, {shown(p.get('model', {}).get('name', 'the model'))} answers {at('icl')} "
        f"of {p.get('n_queries', 'its')} queries of {shown(p.get('task', {}).get('name', 'the task'))} correctly and {at('zs')} without them{points}{guess}; "
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
            parts.append(f"undefined for {update_name(update)} (every shift is masked)")
            continue
        pairs = ((untrained, "on the untrained model"), (random, "for a random weight change"))
        beside = [f"{_span(v)} {what}" for v, what in pairs if v]
        parts.append(
            f"{_span(own)} for {update_name(update)}"
            + (f" ({', '.join(beside)})" if beside else " (no control was run)")
        )
    ceiling = at("icl:reordered")
    top = f"; reordering the demonstrations gives {_span(ceiling)}, the ceiling" if ceiling else ""
    return (
        "The cosine between what the context and what an update changes in the attention outputs (SimAOU, mean over layers) is "
        f"{', '.join(parts)}{top}."
    )


def _follows(result: Comparison, table: Rows, updates: list[str]) -> str:
    found = {u: contrasts(table, u) for u in updates}
    winners = [u for u in updates if found[u] and all(a.verdict == "above" for a in found[u])]
    parts = [_judged(u, found[u]) for u in updates if u not in winners]
    if winners:
        parts.insert(0, _won(winners, found))
    return f"So {_caveat(result)}{'; '.join(parts)}{_between(table, updates)}."


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
    names = " and ".join(update_name(u) for u in winners)
    least = {u: min(found[u], key=lambda a: min(a.differences)) for u in winners}
    smallest = ", ".join(f"{update_name(u)} − {a.control} {a.text}" for u, a in least.items())
    controls = list(dict.fromkeys(a.control for u in winners for a in found[u]))
    text = f"{names} {'is' if len(winners) == 1 else 'are'} more similar to ICL than every control that was run ({', '.join(controls)}; smallest: {smallest})"
    if _CONTROLS[0][1] not in controls:
        return f"{text}, but without the untrained model as a control this says little"
    return f"{text}, which is evidence of a likeness, not of the same mechanism"


def _judged(update: str, found: list[Against]) -> str:
    name = update_name(update)
    if not found or all(not np.isfinite(a.differences).any() for a in found):
        return f"nothing can be said of {name}: no control was run, or all is masked"
    if all(a.verdict == "unknown" for a in found):
        return f"no claim can be made about {name}: that needs at least two seeds"
    above, level, below = ([a for a in found if a.verdict == v] for v in ("above", "no better", "below"))
    texts = [
        f"{phrase} {', '.join(f'{a.control} (difference {a.text})' for a in part)}"
        for part, phrase in ((level, "is no better than"), (below, "is less similar to ICL than"))
        if part
    ]
    beats = f", though above {_listed(above)}" if above else ""
    return f"{name} {' and '.join(texts)}{beats}: {_why_not([a.control for a in (*level, *below)])}"


def _why_not(failed: list[str]) -> str:
    """What it means that an update is not above some controls."""
    if any(control in failed for control in _BASIC):
        return "its similarity is no evidence that ICL works like it"
    owed = [
        what
        for control, what in (("shuffled labels", "the labels"), ("another task", "this task"))
        if control in failed
    ]
    return f"its similarity is not shown to be owed to {' or '.join(owed)}"


def _listed(found: list[Against]) -> str:
    return ", ".join(a.control for a in found)


def _between(table: Rows, updates: list[str]) -> str:
    texts = []
    for other in updates[1:]:
        found = where(table, measure=MEASURE, kind="contrast", name=f"{other} - {updates[0]}")
        verdicts = {_verdict(r) for r in found}
        if not found or verdicts == {"unknown"}:
            continue
        relation = {"above": "more similar to ICL than", "below": "less similar to ICL than"}.get(
            next(iter(verdicts)) if len(verdicts) == 1 else "", "not shown to differ from"
        )
        difference = "; ".join(_difference(r) for r in found)
        texts.append(f"; {update_name(other)} is {relation} {update_name(updates[0])} (difference {difference})")
    return "".join(texts)


def _span(values: list[float], unit: str = "", digits: int = 2) -> str:
    """One number, or from the least to the greatest over learning rates."""
    if not values:
        return "–"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return (low if low == high else f"{low} to {high}").replace("-", "−") + unit
