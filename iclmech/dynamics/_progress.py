"""`progress_measures`: how far each part of the circuit has come, the rest given, on the snapshots of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from iclmech._base import Claim, Result, by_each, load_result, provenance, track
from iclmech.experiments import ExperimentError, Given

from ._clamped_pass import groups_of, loss_under
from ._clamps import Clamp, copy, match, previous_token
from ._history import StackHistory, interval
from ._measured import fixed_sequences
from ._requests import PROGRESS_MEASURES, ProgressRequest
from ._snapshots import net_from
from ._transitions import crossing

if TYPE_CHECKING:
    import pandas as pd

GIVEN = {
    "previous_token": "own previous-token and match heads, the answer read from scores",
    "match": "own match head, previous token given, the answer read from scores",
    "copy": "own values and readout, the match given",
    "composite": "previous token given alone",
}
"""What each measure leaves to the net. Every one stands beside the loss of the net as it is."""


class ProgressMeasures(Result):
    """`data`: loss (measure, run, step), the first measure "none", the net as it is; head (run, part): the heads chosen from
    the last snapshot; seed (run)."""

    kind = "progress-measures"

    def summary(self) -> pd.DataFrame:
        """The step at which each curve falls below a quarter of the net's own first loss: `measure`, `run`, `falls`, `first`,
        `last`, and `highest_above`, how far it lies above the net's own curve at most."""
        import pandas as pd

        rows = []
        for measure in map(str, self.data["measure"].values):
            for run in range(self.data.sizes["run"]):
                curve = self.data["loss"].sel(measure=measure).isel(run=run).values
                above = float((curve - self.data["loss"].sel(measure="none").isel(run=run).values).max())
                level = float(self.data["loss"].sel(measure="none").isel(run=run, step=0)) / 4
                falls = crossing(self.data["step"].values, -curve, -level)
                first, last = float(curve[0]), float(curve[-1])
                rows.append(
                    {
                        "measure": measure,
                        "run": run,
                        "falls": falls,
                        "first": first,
                        "last": last,
                        "highest_above": above,
                    }
                )
        return pd.DataFrame(rows)

    def judged(self) -> list[Claim]:
        """Whether each part is there before the whole, and whether its curve is one of progress at all."""
        table, steps = self.summary(), self.data["step"].values
        whole = np.asarray(table[table["measure"] == "none"]["falls"])
        found = []
        for measure in map(str, self.data["measure"].values[1:]):
            lead = whole - np.asarray(table[table["measure"] == measure]["falls"])
            fine = lead > 0
            verdict = by_each(fine)
            curves = self.data["loss"].sel(measure=measure).values
            falls = bool((curves[:, -1] < curves[:, 0]).all())
            rule = f"its loss falls below a quarter of the net's first loss earlier than the net's own in every run ({int(fine.sum())} of {len(fine)})"
            rule += "" if falls else "; it does not fall over training, so it shows no progress"
            low, high = interval(lead)
            mean = float(np.nanmean(lead)) if not np.isnan(lead).all() else float("nan")
            claim = f"{measure.replace('_', ' ')} is there before the whole"
            found.append(
                Claim(claim, mean, low, high, "the net as it is, steps", rule, verdict if falls else "does not hold")
            )
        return found if len(steps) > 1 else []


def progress_measures(
    history: StackHistory | str,
    measures: Sequence[str] = ("previous_token", "match", "copy"),
    *,
    test_set: str | None = None,
    rows: int = 256,
    progress: bool = False,
) -> ProgressMeasures:
    """Losses of every snapshot with all but one part of the circuit clamped, and with nothing clamped.

    Args:
        history: what `train` returned, or a saved one with its snapshots.
        measures: "copy": the match is given, values and readout are the net's own. "match": the previous token is given and
            the answer read from the scores of the match head. "previous_token": the answer read from scores alone.
            "composite": the previous token given alone, which can lie above the unclamped loss: the head may do something
            else as yet.
        test_set: the sequences; by default those that show learning in context.
        rows: how many.

    Returns:
        A `ProgressMeasures`. Heads are chosen run by run from the last snapshot: previous token, the one below the last layer
        that attends most from labels to their items; match, the one of the last layer that attends most to right labels.

    Raises:
        ExperimentError: an unknown measure, or a history without snapshots or attention.

    Source: after Singh et al. (arXiv 2404.07129), who release copy and composite.
    """
    given = Given()
    named = history if isinstance(history, str) else given.name("history", history)
    request = ProgressRequest(history=named, measures=tuple(measures), test_set=test_set, rows=rows)
    return PROGRESS_MEASURES.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # of this class


def run(request: ProgressRequest, *, progress: bool, history: StackHistory | None = None) -> ProgressMeasures:
    """Measure the snapshots."""
    unknown = [m for m in request.measures if m not in GIVEN]
    if unknown:
        raise ExperimentError(f"got the measure {unknown[0]!r}; expected some of {', '.join(GIVEN)}.")
    history = with_snapshots(history, request.history)
    test_set, heads = request.test_set or history.ability, chosen_heads(history.data)
    plans = {m: [_clamps(m, *mine) for mine in heads] for m in ("none", *request.measures)}
    found = measured_snapshots(history, plans, test_set, request.rows, progress)["loss"]
    seeds = [int(s) for s in history.data["seed"].values]
    names = ["previous_token layer", "previous_token head", "match layer", "match head"]
    flat = [[*(previous.layer, previous.head), *(matching.layer, matching.head)] for previous, matching in heads]
    data = xr.Dataset(
        {"loss": (("measure", "run", "step"), found), "head": (("run", "part"), flat)},
        {
            "measure": list(plans),
            "run": range(len(seeds)),
            "step": history.snapshots.steps,
            "part": names,
            "seed": ("run", seeds),
        },
    )
    origin: dict[str, Any] = {
        k: history.provenance[k] for k in ("task", "worlds", "net", "steps") if k in history.provenance
    }
    return ProgressMeasures(data, provenance=provenance(**origin, test_set=test_set, given=GIVEN))


def measured_snapshots(
    history: StackHistory, plans: Mapping[str, Sequence[tuple[Any, ...]]], test_set: str, rows: int, progress: bool
) -> dict[str, Float[np.ndarray, "plan run step"]]:
    """Loss (nats) and accuracy of every snapshot on one test set.

    Args:
        plans: by name, what is clamped in each run.
        rows: sequences of the test set.
    """
    import torch

    world, seeds, steps = history.world, [int(s) for s in history.data["seed"].values], history.snapshots.steps
    tables = [world.tables(seed) for seed in seeds]
    tests = fixed_sequences([world] * len(seeds), seeds, tables, rows, (test_set,))[test_set]
    groups = [groups_of(mine) for mine in plans.values()]
    found = {name: np.zeros((len(plans), len(seeds), len(steps))) for name in ("loss", "accuracy")}
    for at, step in enumerate(track(steps, "snapshots", enabled=progress)):
        module = net_from(history.snapshots.weights(step), world, history.net, len(seeds))
        for number, mine in enumerate(groups):
            with torch.no_grad():
                measured = loss_under(module, tests, mine)
            for name, values in found.items():
                values[number, :, at] = measured[name].numpy()
    return found


def with_snapshots(history: StackHistory | None, named: str) -> StackHistory:
    """A history, loaded by its name where it is not at hand, on whose snapshots heads can be chosen and clamped.

    Raises:
        ExperimentError: one without snapshots or attention, or of one layer.
    """
    found: StackHistory = history or load_result(named, StackHistory)  # type: ignore[assignment]  # of this class
    if not found.snapshots.steps or "attention" not in found.data or found.net.layers < 2:
        raise ExperimentError(
            "got a history without snapshots or attention; expected one that train made, of two layers."
        )
    return found


def chosen_heads(data: xr.Dataset) -> list[tuple[Clamp, Clamp]]:
    """Run by run, the previous-token head and the match head of the last evaluation."""
    last, found = data["attention"].isel(step=-1), []
    for run in range(data.sizes["run"]):
        mine = last.isel(run=run)
        below = mine.sel(measure="label_to_item").values[:-1]
        layer, head = np.unravel_index(int(below.argmax()), below.shape)
        top = int(mine.sel(measure="target_to_right").values[-1].argmax())
        found.append((previous_token(int(layer), int(head)), match(mine.sizes["layer"] - 1, top)))
    return found


def _clamps(measure: str, previous: Clamp, matching: Clamp) -> tuple[Clamp, ...]:
    """What is given where this is measured."""
    read = copy(matching.layer, matching.head or 0)
    return {
        "none": (),
        "copy": (matching,),
        "match": (previous, read),
        "previous_token": (read,),
        "composite": (previous,),
    }[measure]
