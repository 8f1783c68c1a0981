"""`forgetting`: embeddings of the items are drawn anew now and then, for good or until an ability is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import Cells, Claim, by_each
from iclmech.experiments import ExperimentError, Given, seeds_asked, seeds_of

from ._feed import Forget, forget_of
from ._history import StackHistory
from ._history_data import history_data, origin_of
from ._net_shape import Net, net_of
from ._requests import FORGETTING, ForgettingRequest
from ._stack_training import RunPlan, Schedule, place_of, train_stack
from ._train import named_net, named_world
from ._world import World, world_of

if TYPE_CHECKING:
    import pandas as pd

LEARNED, NOT_LEARNED = 0.85, 0.2
KEPT, REMEMBERED = 0.8, 0.4


class Forgetting(StackHistory):
    """Runs with and without forgetting, measured just before each redraw of the table.

    `data`: as of a history; runs carry `condition`; stopped (run) is the step at which forgetting ended, -1 where it did not.
    """

    kind = "forgetting"

    @property
    def conditions(self) -> dict[str, Forget | None]:
        """Name → forgetting."""
        return {name: forget_of(text) for name, text in self.provenance["conditions"].items()}

    def at_stop(self) -> pd.DataFrame:
        """Runs whose forgetting ends: `condition`, `seed`, `stopped` (-1: the condition never came true), and every accuracy
        at the stop and `after` steps later (NaN where training ended before)."""
        import pandas as pd

        rows = []
        for n in range(self.data.sizes["run"]):
            run = self.data.isel(run=n)
            forget, stopped = self.conditions[str(run["condition"].values)], int(run["stopped"])
            if forget is None or forget.until is None:
                continue
            row = {"condition": str(run["condition"].values), "seed": int(run["seed"]), "stopped": stopped}
            for test_set in map(str, run["test_set"].values):
                for name, step in (("at stop", stopped), ("after", stopped + self.after)):
                    row[f"{test_set} {name}"] = self._near(run["accuracy"].sel(test_set=test_set), step, stopped)
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def after(self) -> int:
        """Steps after the stop at which temporary forgetting is judged."""
        return int(self.provenance["after"])

    def _near(self, curve: Any, step: int, stopped: int) -> float:
        steps = curve["step"].values
        if stopped < 0 or step > steps[-1]:
            return float("nan")
        return float(curve.values[np.flatnonzero(steps >= step)[0]])

    def tables(self) -> dict[str, Any]:
        """The stops, then transitions."""
        stops = self.at_stop()
        return ({"Stops": stops} if len(stops) else {}) | {"Summary": self.summary()}

    def judged(self) -> list[Claim]:
        """What none, active and temporary forgetting left, each by every run."""
        found, final = [], self.data["accuracy"].sel(test_set=self.ability).isel(step=slice(-3, None)).mean("step")
        for name, forget in self.conditions.items():
            mine = final.values[self.data["condition"].values == name]
            if forget is None:
                fine, text = mine <= NOT_LEARNED, f"unseen at most {NOT_LEARNED} at the end"
                found.append(
                    _every(f"Without forgetting ({name}) new tokens are not learned in context", mine, fine, text)
                )
            elif forget.until is None:
                fine, text = mine >= LEARNED, f"unseen at least {LEARNED} at the end"
                found.append(_every(f"With forgetting ({name}) new tokens are learned in context", mine, fine, text))
            else:
                found.append(self._temporary(name))
        return found

    def _temporary(self, name: str) -> Claim:
        stops = self.at_stop()
        stops = stops[stops["condition"] == name]
        unseen, weights = (np.asarray(stops[f"{s} after"]) for s in (self.ability, "in_weights"))
        fired = np.asarray(stops["stopped"]) >= 0
        read = fired & ~np.isnan(unseen)
        fine = (unseen >= KEPT) & (weights >= REMEMBERED)
        rule = (
            f"{self.after} steps after the stop, unseen at least {KEPT} and in-weights at least {REMEMBERED}; "
            f"the condition came true in {int(fired.sum())} of {len(fired)} runs"
        )
        claim = f"After temporary forgetting ({name}) both abilities are there"
        if not read.any():
            return Claim(claim, float("nan"), float("nan"), float("nan"), "", rule, "not shown")
        return _every(claim, unseen[read], fine[read], rule)


def _every(claim: str, values: np.ndarray, fine: np.ndarray, rule: str) -> Claim:
    verdict = by_each(fine)
    low, high = float(values.min()), float(values.max())
    return Claim(
        claim, float(values.mean()), low, high, "range of runs", f"{rule} ({int(fine.sum())} of {len(fine)})", verdict
    )


def forgetting(
    world: World | str = "tokens(bursty=0.9)",
    conditions: Mapping[str, Forget | str | None] | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    steps: int = 5000,
    net: Net | str | None = None,
    lr: float | None = None,
    batch: int = 32,
    evaluate: int = 150,
    rows: int = 256,
    after: int = 450,
    out: str | Path | None = None,
    progress: bool = False,
) -> Forgetting:
    """Train under each condition, all runs in one stack.

    Args:
        world: a world with a learned table: `Tokens`.
        conditions: {name: `Forget`, or None}; none, active and temporary by default.
        after: steps after the end of temporary forgetting at which it is judged: both abilities are there for a while.
        seeds, steps, net, lr, batch, evaluate, rows, out, progress: as in `train`. Conditions are tested at evaluations.

    Returns:
        A `Forgetting`; runs whose condition never came true are in its notes.

    Raises:
        ExperimentError: a world without a table, or a condition on a test set that it does not have.

    Source: Anand et al. (arXiv 2406.00053). The table is redrawn at the scale of its first draw, its moments in the
        optimiser are set to zero, and "unseen" is one fixed table for all conditions.
    """
    given = Given()
    own = {name: forget_of(f) for name, f in (conditions or {}).items()}
    spelled = tuple(name if f is None else f"{name}={f.spelled.replace(',', ';')}" for name, f in own.items())
    request = ForgettingRequest(
        world=named_world(given, world), seeds=seeds_asked(seeds), steps=steps,
        net=named_net(net), lr=lr, batch=batch, evaluate=evaluate, rows=rows, after=after,
        **({"conditions": spelled} if conditions else {}),
    )  # fmt: skip
    return FORGETTING.run(request, progress=progress, kept=out, **given.inputs)  # type: ignore[return-value]  # a Forgetting


def run(
    request: ForgettingRequest, *, progress: bool, cells: Cells, world: World | None = None, kept: Any = None
) -> Forgetting:
    """Train as the request says."""
    world = world or world_of(request.world)
    conditions = dict(map(_condition, request.conditions))
    for name, forget in conditions.items():
        if not world.n_items:
            raise ExperimentError(f"got {world.spelled}, which has no table to forget; expected Tokens.")
        if forget is not None and isinstance(forget.until, tuple):
            world.check_test_set(forget.until[0])
        if forget is not None and forget.every < 1:
            raise ExperimentError(f"condition {name!r}: got every={forget.every}; expected at least 1 step.")
    net, lr, seeds = net_of(request.net, world.net), request.lr or world.lr, seeds_of(request.seeds)
    plans = [RunPlan(world, seed, (), forget) for forget in conditions.values() for seed in seeds]
    schedule = Schedule(request.steps, request.evaluate, 0, request.batch, request.rows, kept is not None)
    trained = train_stack(plans, net, lr, schedule, out=place_of(kept, cells), progress=progress)
    names = [name for name in conditions for _ in seeds]
    never = [
        f"{name}, seed {plan.seed}: the condition never came true within {request.steps} steps; its forgetting did not end."
        for name, plan, stopped in zip(names, plans, trained.stopped, strict=True)
        if plan.forget is not None and plan.forget.until is not None and stopped < 0
    ]
    spelled = {name: "none" if forget is None else forget.spelled for name, forget in conditions.items()}
    origin = origin_of(plans, net, lr, schedule, notes=never, conditions=spelled, after=request.after)
    found = Forgetting(history_data(trained, plans, schedule, {"condition": names}), provenance=origin)
    found.keep(trained.snapshots, world)
    return found


def _condition(text: str) -> tuple[str, Forget | None]:
    name, _, how = text.replace(";", ",").partition("=")
    return name.strip(), forget_of(how) if how else None
