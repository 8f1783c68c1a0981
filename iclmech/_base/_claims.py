"""A claim, what was measured for it, and by which rule it is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["holds", "does not hold", "not shown", "not applicable", "quick: no claim"]
COLUMNS = ("claim", "measured", "low", "high", "control", "rule", "verdict")


@dataclass(frozen=True)
class Claim:
    """One claim and its verdict.

    Attributes:
        claim: a sentence in the affirmative: "GD is more like ICL than the untrained model".
        measured, low, high: the number it rests on and its interval.
        control: what it was held against.
        rule: when it holds, fixed beforehand.
        verdict: "holds", "does not hold", "not shown" or "not applicable".
        about: what it is a claim about (update, learning rate, …), for code that reads it.
    """

    claim: str
    measured: float | int
    low: float | int
    high: float | int
    control: str
    rule: str
    verdict: Verdict
    about: dict[str, Any] = field(default_factory=dict, compare=False)


def by_interval(low: float | int, high: float | int, zero: float | int = 0.0) -> Verdict:
    """ "holds" above zero, "does not hold" below, "not shown" where the interval includes it or is not known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not shown"
    return "holds" if low > zero else "does not hold" if high < zero else "not shown"


def by_each(fine: Any) -> Verdict:
    """ "holds" where all are true, "does not hold" where none is, "not shown" between: of an array, one entry for each run.

    >>> import numpy as np
    >>> by_each(np.array([True, False]))
    'not shown'
    """
    return "holds" if fine.all() else "not shown" if fine.any() else "does not hold"


def claims_table(claims: list[Claim]) -> pd.DataFrame:
    """Claims as a table with the columns of `COLUMNS`."""
    import pandas as pd

    return pd.DataFrame([{name: getattr(claim, name) for name in COLUMNS} for claim in claims], columns=list(COLUMNS))


def sentence(claim: Claim) -> str:
    """A claim as a sentence with its verdict and its numbers."""
    number = f"{claim.measured:.3g}" if math.isfinite(claim.measured) else "no number"
    interval = f" [{claim.low:.3g}, {claim.high:.3g}]" if math.isfinite(claim.low) else ""
    against = f" against {claim.control}" if claim.control else ""
    return f"{claim.claim}: {claim.verdict} ({number}{interval}{against})."
