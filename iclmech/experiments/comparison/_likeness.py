"""What follows from the similarities: an update beside each control and beside other updates, in words no stronger than the claims."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from iclmech._base import REGISTRIES, Claim

from ._titles import update_short

Rows = list[dict[str, Any]]
_WORDS = {"holds": "above", "does not hold": "below", "not shown": "not shown"}


class Against(NamedTuple):
    """An update against one control; one claim per learning rate."""

    control: str
    called: str  # as a sentence names it
    claims: list[Claim]

    @property
    def differences(self) -> list[float]:
        """The paired differences."""
        return [claim.measured for claim in self.claims]

    @property
    def verdict(self) -> str:
        """What holds at every rate: "above", "below", else "not shown"; "unknown" where nothing may be claimed."""
        words = [word(claim) for claim in self.claims]
        if not words or all(w == "unknown" for w in words):
            return "unknown"
        return words[0] if len(set(words)) == 1 else "not shown"

    @property
    def text(self) -> str:
        """The difference with its interval; of several learning rates, the least and the greatest without."""
        if len(self.claims) == 1:
            return difference(self.claims[0])
        return f"{_signed(min(self.differences))} to {_signed(max(self.differences))}, by learning rate"


def against(claims: list[Claim], update: str, *, others: bool = False) -> list[Against]:
    """The update against each of its controls that was run, or (`others`) against other updates."""
    found: dict[str, Against] = {}
    key = "other" if others else "control"
    for claim in claims:
        if claim.about.get("update") == update and claim.about.get(key):
            name = claim.about[key]
            found.setdefault(name, Against(name, claim.control, [])).claims.append(claim)
    return list(found.values())


def word(claim: Claim) -> str:
    """ "above", "below", "not shown", or "unknown" where no claim may be made."""
    return "unknown" if claim.about.get("why_not") else _WORDS[claim.verdict]


def follows(claims: list[Claim], table: Rows, updates: list[str]) -> str:
    """The sentence of verdicts; empty without updates."""
    found = {u: against(claims, u) for u in updates}
    whole = {u: [c for c in claims if c.about.get("update") == u and c.about.get("every")] for u in updates}
    winners = [u for u in updates if whole[u] and all(c.verdict == "holds" for c in whole[u])]
    parts = [_judged(u, found[u], table) for u in updates if u not in winners]
    if winners:
        parts.insert(0, _won(winners, found, whole))
    return f"So {_caveat(claims)}{'; '.join(parts)}{_between(claims, updates)}." if parts else ""


def _won(winners: list[str], found: dict[str, list[Against]], whole: dict[str, list[Claim]]) -> str:
    """Above every control that was run."""
    names = " and ".join(update_short(u) for u in winners)
    smallest = ", ".join(f"{update_short(u)} − {c.control} {difference(c)}" for u in winners for c in whole[u])
    controls = list(dict.fromkeys(a.called for u in winners for a in found[u]))
    text = f"{names} {'is' if len(winners) == 1 else 'are'} more similar to ICL than every control that was run ({', '.join(controls)}; smallest: {smallest})"
    missing = [c.phrase for c in _basic_controls() if any(c.name not in {a.control for a in found[u]} for u in winners)]
    if missing:
        return f"{text}, but without {' and '.join(missing)} as a control this says little"
    return f"{text}, which is evidence of a likeness, not of the same mechanism"


def _basic_controls() -> list[Any]:
    known = REGISTRIES["control"]
    return [known[name] for name in known if known[name].basic and known[name].phrase]


def _judged(update: str, found: list[Against], table: Rows) -> str:
    name = update_short(update)
    if not found or all(not np.isfinite(a.differences).any() for a in found):
        return f"nothing can be said of {name}: no control was run, or all is masked"
    if all(a.verdict == "unknown" for a in found):
        return f"no claim is made about {name}: {found[0].claims[0].about['why_not']}"
    above, level, below = (
        [a for a in found if a.verdict in v] for v in (("above",), ("not shown", "unknown"), ("below",))
    )
    texts = [
        f"{said} {', '.join(f'{a.called} ({_beside(update, a, table)})' for a in part)}"
        for part, said in (
            (level, "is not shown to be more similar to ICL than"),
            (below, "is less similar to ICL than"),
        )
        if part
    ]
    beats = f", though more similar than {', '.join(a.called for a in above)}" if above else ""
    if not texts:  # above each one by itself, but not above all at once
        return f"{name} is more similar to ICL than {', '.join(a.called for a in above)}, each by itself"
    return f"{name} {' and '.join(texts)}{beats}: {_why_not([a.control for a in (*level, *below)])}"


def _beside(update: str, found: Against, table: Rows) -> str:
    """The difference; and of a control that is an update, the accuracy that it leaves."""
    left = accuracy_of(table, f"ft:{update}:{found.control}")
    why = found.claims[0].about["why_not"] if found.verdict == "unknown" else ""
    return (
        f"difference {found.text}"
        + (f", not judged: {why}" if why else "")
        + (f"; after that update {left} are right" if left else "")
    )


def _why_not(failed: list[str]) -> str:
    """What it means that an update is not above some controls."""
    known = REGISTRIES["control"]
    records = {name: known[name] for name in failed if name in known}
    if len(records) < len(failed) or any(c.basic for c in records.values()):  # the null is no control, and basic
        return "its similarity is no evidence that ICL works like it"
    owed = [c.shows for c in records.values() if c.shows]
    return (
        f"its similarity is not shown to be owed to {' or '.join(owed)}"
        if owed
        else "its similarity may have other reasons"
    )


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


def _caveat(claims: list[Claim]) -> str:
    """What stands before every verdict where learning in context is not shown."""
    claim = next((c for c in claims if c.about.get("setting") == "icl"), None)
    if claim is not None and claim.verdict == "does not hold":
        return "there is no in-context learning here to be like: "
    if claim is None or claim.verdict != "holds":
        return "(with the reservation that learning in context is not shown here) "
    return ""


def difference(claim: Claim) -> str:
    """A paired difference with its interval."""
    if not np.isfinite(claim.low):
        return _signed(claim.measured)
    return f"{_signed(claim.measured)} [{_signed(claim.low)}, {_signed(claim.high)}]"


def _signed(x: float) -> str:
    return f"{x:+.2f}".replace("-", "−") if abs(x) >= 0.005 or not np.isfinite(x) else f"{x:+.3f}".replace("-", "−")


def accuracy_of(table: Rows, setting: str) -> str:
    """ "80 %", from the least to the greatest over learning rates; empty where it is not known."""
    rows = [r for r in table if (r["measure"], r["variant"], r["name"]) == ("accuracy", "trained", setting)]
    values = [100 * float(r["mean"]) for r in rows if np.isfinite(r["mean"])]
    return spanned(values, "\u00a0%", 0) if values else ""


def spanned(values: list[float], unit: str = "", digits: int = 2) -> str:
    """One number, or from the least to the greatest over learning rates."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return (low if low == high else f"{low} to {high}").replace("-", "−") + unit
