"""The result of `reproduce`: one row for each claim of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result

from ._verdicts import QUICK

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("measured", "low", "high")
_ABOUT = ("margin", "p", "p_adjusted", "n")
_TEXTS = ("source", "side", "effect", "unit", "run", "note")


class Reproduction(Result):
    """What became of the claims of a paper on the model at hand.

    `data`, by claim: measured, low, high, margin (δ), n (independent draws behind the interval), p, p_adjusted, seconds (CPU
    time of the run that the claim is read from). The texts are in the provenance.
    """

    kind = "reproduce"
    needed: ClassVar = dict.fromkeys((*_NUMBERS, "seconds"), ("claim",))
    _runs: dict[str, Any] | None = None

    @classmethod
    def of(cls, claims: Sequence[Claim], seconds: Sequence[float | int], provenance: dict[str, Any]) -> Reproduction:
        """A result from claims that were judged.

        Args:
            claims: of the paper, in its order.
            seconds: CPU time of the run behind each.
            provenance: paper, model, runs with their commands.
        """
        columns = {name: [float(getattr(c, name)) for c in claims] for name in _NUMBERS}
        columns |= {name: [float(c.about.get(name, np.nan)) for c in claims] for name in _ABOUT}
        data = xr.Dataset({name: ("claim", np.array(v)) for name, v in columns.items()})
        data["seconds"] = ("claim", np.array(seconds, dtype=float))
        texts = [
            {"claim": c.claim, "control": c.control, "rule": c.rule, "verdict": c.verdict}
            | {name: str(c.about.get(name, "")) for name in _TEXTS}
            for c in claims
        ]
        return cls(data, provenance={**provenance, "claims": texts})

    @property
    def runs(self) -> dict[str, Any]:
        """Name → result of each experiment that was called, while the object lives; empty for one from a file."""
        return self._runs or {}

    def keep(self, runs: dict[str, Any]) -> Reproduction:
        """This reproduction with the results behind it at hand."""
        self._runs = runs
        return self

    @property
    def paper(self) -> dict[str, Any]:
        """Name, title, authors, year, arXiv number of the paper."""
        return dict(self.provenance.get("paper", {}))

    def judged(self) -> list[Claim]:
        """The claims with their verdicts, as they were judged when they were measured."""
        rows = []
        for n, text in enumerate(self.provenance.get("claims", [])):
            at = self.data.isel(claim=n)
            about = {name: text.get(name, "") for name in _TEXTS} | {name: float(at[name]) for name in _ABOUT}
            about["seconds"] = float(at["seconds"])
            measured, low, high = (float(at[name]) for name in _NUMBERS)
            rest = (text["control"], text["rule"], text["verdict"], about)
            rows.append(Claim(text["claim"], measured, low, high, *rest))
        return rows

    def claims(self) -> pd.DataFrame:
        """One row per claim: `claim`, `measured`, `low`, `high`, `control`, `rule`, `verdict`, `note`, `seconds`, `unit`, `source`."""
        table, rows = super().claims(), self.judged()
        for name in ("note", "seconds", "unit", "source"):
            table[name] = [claim.about[name] for claim in rows]
        return table

    def summary(self) -> pd.DataFrame:
        """The claims without what stands only in `claims()`: unit and source."""
        return self.claims().drop(columns=["unit", "source"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """What a terminal shows: the claims, short."""
        shown: Any = self.claims()[["claim", *_NUMBERS, "verdict", "seconds"]]
        return {f"Claims of {self.paper.get('name', 'the paper')}": shown}

    def answer(self) -> list[str]:
        """How many claims hold, then each with its number, then those that cannot be asked here."""
        rows, paper = self.judged(), self.paper
        counts = {v: sum(c.verdict == v for c in rows) for v in dict.fromkeys(c.verdict for c in rows)}
        plural = {"holds": "hold", "does not hold": "do not hold"}
        told = ", ".join(f"{n} {plural.get(v, v) if n > 1 else v}" for v, n in counts.items())
        sentences = [f"{paper.get('name')} ({paper.get('title')}): {len(rows)} claims; {told}."]
        sentences += [_sentence(c) for c in rows if c.verdict != "not applicable"]
        sentences += [f"Not asked here: {c.claim} ({c.about['note']})." for c in rows if c.verdict == "not applicable"]
        return sentences

    def __repr__(self) -> str:
        name, model = self.paper.get("name"), (self.provenance.get("model") or {}).get("name")
        return (
            f"Reproduction({name!r}{f' on {model!r}' if model else ''}: {', '.join(c.verdict for c in self.judged())})"
        )


def _sentence(claim: Claim) -> str:
    number = f"{claim.measured:.3g}" if np.isfinite(claim.measured) else "no number"
    number += f" [{claim.low:.3g}, {claim.high:.3g}]" if np.isfinite(claim.low) and claim.low < claim.high else ""
    number += f" {claim.about['unit']}" if claim.about["unit"] else ""
    against = f", against {claim.control}" if claim.control else ""
    note = f" {claim.about['note'][:1].upper()}{claim.about['note'][1:]}." if claim.about["note"] else ""
    verdict = QUICK if claim.verdict == QUICK else claim.verdict
    return f"{claim.claim}: {verdict} ({number}{against}).{note}"
