"""A comparison in twelve rows: what each setting gets right, how alike each update is, and what it was not shown to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base._brief import MOST_ROWS, number

from ._claims import MEASURE
from ._control import NULL
from ._likeness import against, difference
from ._roster import Entry
from ._titles import NULL_TITLE, control_title, update_short

if TYPE_CHECKING:
    import pandas as pd

    from iclmech._base import Claim

    from ._result import Comparison

HEAD = ("", "correct", "SimAOU", "update − control", "verdict")


def brief(result: Comparison) -> pd.DataFrame:
    """Settings with their accuracy; below each update its controls, those first that it is not shown to beat.

    Of several learning rates the first is shown.
    """
    import pandas as pd

    measures = [m for m in ("accuracy", MEASURE) if f"{m}_overall" in result.means]
    rows: Any = [r for r in result.summary(measures).to_dict("records") if r["kind"] != "contrast" and r["lr"] == 0]
    held = {(r["measure"], r["name"], r["variant"]): r for r in rows}
    claims = result.judged()
    learns = next((c.verdict for c in claims if c.about.get("setting") == "icl"), "")
    found = [
        ("zero-shot", _share(held, "zs"), "", "", ""),
        ("in context (ICL)", _share(held, "icl"), "", "", f"learns: {learns}" if learns else ""),
    ]
    updates = list(result.roster.updates)
    each = max(0, (MOST_ROWS - len(found)) // max(1, len(updates)) - 1)
    for update in updates:
        rate = _rate(result, update)
        found.append(
            (f"after {update_short(update)}{rate}", _share(held, f"ft:{update}"), _similarity(held, update), "", "")
        )
        found += [_against(result, held, update, claim) for claim in _deciding(claims, update)[:each]]
    return pd.DataFrame(found[:MOST_ROWS], columns=list(HEAD))


def _rate(result: Comparison, update: str) -> str:
    n, rates = result.means.sizes.get("lr", 1), result.means.coords.get("lr_value")
    return f", rate {float(rates.sel(update=update).values[0]):.3g}" if n > 1 and rates is not None else ""


def _deciding(claims: list[Claim], update: str) -> list[Claim]:
    """An update's claims against controls at the first rate: what it is not shown to beat first, the nearest on top."""
    first = [found.claims[0] for found in against(claims, update)]
    return sorted(first, key=lambda claim: (claim.verdict == "holds", claim.measured))


def _against(result: Comparison, held: dict[Any, Any], update: str, claim: Claim) -> tuple[str, ...]:
    control = claim.about["control"]
    if control in result.roster.variants:
        left, alike = _share(held, f"ft:{update}", control), _similarity(held, update, control)
    else:
        own = next(
            (e for e in (Entry(f"{update}:{control}"), Entry(control)) if (MEASURE, e.name, "trained") in held), None
        )
        left = _share(held, f"ft:{own.name}" if own and ":" in own.name and not control.startswith("icl:") else control)
        alike = _similarity(held, own.name) if own else ""
    said = "not judged" if claim.about.get("why_not") else claim.verdict
    title = NULL_TITLE if control == NULL else control_title(control)
    return f"\u00a0\u00a0{title}", left, alike, difference(claim), said


def _share(held: dict[Any, Any], setting: str, variant: str = "trained") -> str:
    row = held.get(("accuracy", setting, variant))
    return f"{100 * row['mean']:.0f} %" if row and np.isfinite(row["mean"]) else ""


def _similarity(held: dict[Any, Any], name: str, variant: str = "trained") -> str:
    row = held.get((MEASURE, name, variant))
    return number(float(row["mean"])) if row and np.isfinite(row["mean"]) else ""
