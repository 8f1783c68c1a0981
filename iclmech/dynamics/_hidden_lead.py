"""`hidden_lead`: when a clamp first elicits an ability on the snapshots of a training, and when it shows by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result, Verdict, by_each, by_interval, provenance
from iclmech.experiments import Given

from ._clamps import Clamp, checked_clamps, clamp_of, random_pattern
from ._history import StackHistory, interval
from ._progress import chosen_heads, measured_snapshots, with_snapshots
from ._snapshot_requests import HIDDEN_LEAD, LeadRequest
from ._transitions import crossing

if TYPE_CHECKING:
    import pandas as pd

BEHAVIOUR = "none"
CONTROL = "random pattern"


class HiddenLead(Result):
    """When an ability is elicited, and when it shows.

    `data`: accuracy (condition, run, step): "none", every clamp, and for each its control, the same heads with attention drawn
    at random; reached (condition, run), the step at which accuracy first reached the level (an attribute), NaN where it never
    did; seed (run).
    """

    kind = "hidden-lead"

    @property
    def clamps(self) -> list[str]:
        """What was given, without the controls."""
        names = [str(c) for c in self.data["condition"].values]
        return [name for name in names if name != BEHAVIOUR and not name.startswith(CONTROL)]

    @property
    def level(self) -> float:
        """Accuracy at which the ability is said to be there."""
        return float(self.data["reached"].attrs["level"])

    def leads(self, condition: str) -> np.ndarray:
        """Steps from elicited to shown, run by run; NaN where either never came."""
        reached = self.data["reached"]
        return reached.sel(condition=BEHAVIOUR).values - reached.sel(condition=condition).values

    def summary(self) -> pd.DataFrame:
        """`condition`, `elicited` (median step), `runs_elicited`, `at_first` (runs in which the first snapshot has it already),
        `lead` (mean), `low`, `high` (a bootstrap over runs)."""
        import pandas as pd

        rows = []
        for name in map(str, self.data["condition"].values):
            steps, lead = self.data["reached"].sel(condition=name).values, self.leads(name)
            known = steps[~np.isnan(steps)]
            low, high = interval(lead)
            rows.append(
                {
                    "condition": name,
                    "elicited": float(np.median(known)) if known.size else float("nan"),
                    "runs_elicited": int(known.size),
                    "at_first": int((self.first(name) >= self.level).sum()),
                    "lead": float(np.nanmean(lead)) if not np.isnan(lead).all() else float("nan"),
                    "low": low,
                    "high": high,
                }
            )
        return pd.DataFrame(rows)

    def first(self, condition: str) -> np.ndarray:
        """Accuracy at the first snapshot, run by run."""
        return self.data["accuracy"].sel(condition=condition).isel(step=0).values

    def judged(self) -> list[Claim]:
        """Whether each clamp elicits the ability before it shows, and more than attention drawn at random does."""
        found = []
        for name in self.clamps:
            lead, missing = self.leads(name), np.isnan(self.data["reached"].sel(condition=name).values)
            low, high = interval(lead)
            verdict: Verdict = by_interval(low, high) if (~np.isnan(lead)).sum() > 2 else "not shown"
            rule = f"at least 3 runs, a bootstrap over them: steps from elicited to shown, at accuracy {self.level:g}, lie above 0"
            if (self.first(name) >= self.level).all():
                verdict, rule = "not applicable", f"{rule}; but the untrained net has it too: the clamp does the task"
            elif missing.all():
                verdict, rule = "does not hold", f"{rule}; the clamp never elicits it"
            mean = float(np.nanmean(lead)) if not np.isnan(lead).all() else float("nan")
            claim = f"With {_words(name)} given, the ability is there before it shows"
            found += [Claim(claim, mean, low, high, "the net as it is, steps", rule, verdict), self._beside(name)]
        return found

    def _beside(self, name: str) -> Claim:
        ours, theirs = (
            np.nan_to_num(self.data["reached"].sel(condition=c).values, nan=np.inf)
            for c in (name, f"{CONTROL}: {name}")
        )
        earlier = ours < theirs
        verdict = by_each(earlier)
        rule = f"in every run the clamp reaches {self.level:g} earlier than its control does ({int(earlier.sum())} of {len(earlier)})"
        return Claim(
            f"It is what {_words(name)} says, not that attention was replaced", float(earlier.mean()), float("nan"), float("nan"),
            "the same heads with attention drawn at random", rule, verdict,
        )  # fmt: skip


def _words(condition: str) -> str:
    return condition.replace("_", " ").replace("+", " and ")


def hidden_lead(
    history: StackHistory | str,
    clamps: Sequence[str] = ("match", "previous_token", "previous_token+match"),
    *,
    level: float = 0.8,
    test_set: str | None = None,
    rows: int = 256,
    progress: bool = False,
) -> HiddenLead:
    """Accuracy of every snapshot as it is and with parts of the circuit given; from which step on each reaches a level.

    Args:
        history: what `train` returned, or a saved one with its snapshots.
        clamps: texts as on the command line, several of one condition joined by "+". "match" and "previous_token" without
            numbers stand for the heads that do this at the last snapshot of each run.
        level: the accuracy.
        test_set: the sequences; by default those that show learning in context.
        rows: how many.

    Returns:
        A `HiddenLead`.

    Raises:
        ExperimentError: a history without snapshots or attention, no such clamp, or clamps that ignore one another.

    Source: after the hidden capabilities of Park et al. (arXiv 2406.19370), with the clamps of Singh et al. (2404.07129). A
        clamp may do the task itself: what the untrained net can do under it is no ability that training gave.
    """
    given = Given()
    named = history if isinstance(history, str) else given.name("history", history)
    request = LeadRequest(history=named, clamps=tuple(clamps), level=level, test_set=test_set, rows=rows)
    return HIDDEN_LEAD.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # of this class


def run(request: LeadRequest, *, progress: bool, history: StackHistory | None = None) -> HiddenLead:
    """Measure the snapshots."""
    history = with_snapshots(history, request.history)
    heads = chosen_heads(history.data)
    plans: dict[str, list[tuple[Clamp, ...]]] = {BEHAVIOUR: [() for _ in heads]}
    for text in request.clamps:
        mine = [_placed(text, history, previous, matching) for previous, matching in heads]
        plans[text] = mine
        plans[f"{CONTROL}: {text}"] = [tuple(random_pattern(c.layer, c.head or 0) for c in clamps) for clamps in mine]
    test_set = request.test_set or history.ability
    accuracy = measured_snapshots(history, plans, test_set, request.rows, progress)["accuracy"]
    steps, seeds = history.snapshots.steps, [int(s) for s in history.data["seed"].values]
    reached = [[crossing(steps, curve, request.level) for curve in runs] for runs in accuracy]
    data = xr.Dataset(
        {
            "accuracy": (("condition", "run", "step"), accuracy),
            "reached": (("condition", "run"), reached, {"level": request.level}),
        },
        {"condition": list(plans), "run": range(len(seeds)), "step": steps, "seed": ("run", seeds)},
    )
    origin: dict[str, Any] = {k: history.provenance[k] for k in ("task", "worlds", "net") if k in history.provenance}
    return HiddenLead(data, provenance=provenance(**origin, test_set=test_set))


def _placed(text: str, history: StackHistory, previous: Clamp, matching: Clamp) -> tuple[Clamp, ...]:
    """The clamps of a condition, at the heads of this run where the text names none."""
    found = []
    for part in text.split("+"):
        clamp, usual = clamp_of(part), {"previous_token": previous, "match": matching}
        own = usual.get(clamp.kind, clamp)
        found.append(clamp if ":" in part else replace(clamp, layer=own.layer, head=own.head))
    return checked_clamps(text, found, history.net.layers, history.net.heads)
