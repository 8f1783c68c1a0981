"""`clamped`: what learning waits for. Conditions × seeds in one stack, parts of the circuit given from the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import Cells, Claim, Verdict
from iclmech.experiments import ExperimentError, Given, seeds_asked, seeds_of

from ._clamps import Clamp, checked_clamps
from ._history import StackHistory, interval
from ._history_data import history_data, origin_of
from ._net_shape import Net, net_of
from ._requests import CLAMPED, ClampedRequest
from ._stack_training import RunPlan, Schedule, place_of, train_stack
from ._train import named_net, named_world
from ._transitions import crossing
from ._world import World, world_of

if TYPE_CHECKING:
    import pandas as pd

Conditions = Mapping[str, Any]
_OWN = "custom:"


class Clamped(StackHistory):
    """Runs under clamps. Losses and accuracies are measured under the clamp that a run is trained with.

    `data`: as of a history; runs carry `condition`; steps_to_level (run), NaN where the loss on the training mix never
    went below `level` (an attribute of the variable).
    """

    kind = "clamped"

    @property
    def conditions(self) -> list[str]:
        """Names in the order in which they were given."""
        return list(dict.fromkeys(map(str, self.data["condition"].values)))

    def times(self) -> pd.DataFrame:
        """Steps to the level. Columns: `condition`, `median`, `low`, `high` (95 %, a bootstrap of the mean), `reached`, `runs`."""
        import pandas as pd

        rows = []
        for name in self.conditions:
            values = self._times(name)
            low, high = interval(values)
            median = float(np.median(np.nan_to_num(values, nan=np.inf)))
            reached = int((~np.isnan(values)).sum())
            rows.append(
                {"condition": name, "median": median, "low": low, "high": high, "reached": reached, "runs": len(values)}
            )
        return pd.DataFrame(rows).sort_values("median", kind="stable", ignore_index=True)

    def _times(self, condition: str) -> np.ndarray:
        return self.data["steps_to_level"].values[self.data["condition"].values == condition]

    def tables(self) -> dict[str, Any]:
        """Times first."""
        return {f"Steps to loss {self._level:g}": self.times(), "Summary": self.summary()}

    @property
    def _level(self) -> float:
        return float(self.data["steps_to_level"].attrs["level"])

    def judged(self) -> list[Claim]:
        """Whether each clamp makes learning faster than none, by pairs of runs of one seed."""
        free = [name for name in self.conditions if name == "none"]
        found = []
        for name in self.conditions:
            if not free or name == "none":
                continue
            none, mine = (np.nan_to_num(self._times(c), nan=np.inf) for c in ("none", name))
            both = np.isfinite(none) & np.isfinite(mine)
            saved = none[both] - mine[both]
            faster, decided = mine < none, (np.isfinite(none) | np.isfinite(mine)).all()
            verdict: Verdict = (
                "holds" if faster.all() else "does not hold" if decided and not faster.any() else "not shown"
            )
            low, high = interval(saved)
            rule = f"fewer steps to loss {self._level:g} with every seed ({int(faster.sum())} of {len(faster)})"
            mean = float(saved.mean()) if saved.size else float("nan")
            found.append(
                Claim(f"Learning is faster with {name} given", mean, low, high, "none, steps saved", rule, verdict)
            )
        return found

    def answer(self) -> list[str]:
        """The order of the conditions, then the claims."""
        table = self.times()
        parts = [
            f"{name} {median:.0f}" if np.isfinite(median) else f"{name} not reached"
            for name, median in zip(table["condition"], table["median"], strict=True)
        ]
        return [f"Median steps to loss {self._level:g}: {', '.join(parts)}.", *super().answer()]


def clamped(
    world: World | str = "relabelled",
    conditions: Conditions | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    steps: int = 2400,
    net: Net | str | None = None,
    lr: float | None = None,
    batch: int = 32,
    evaluate: int = 200,
    losses: int = 10,
    level: float = 0.2,
    rows: int = 256,
    out: str | Path | None = None,
    progress: bool = False,
) -> Clamped:
    """Train under each condition, all runs in one stack.

    Args:
        world: a world, or its text.
        conditions: {name: clamp, or a tuple of clamps and of interventions that need no sequences}; none, previous token,
            copy, perfect layer, both, and match by default.
        level: the loss (nats) whose first step is reported.
        losses: steps between two losses on the training mix, by which that step is found.
        seeds, steps, net, lr, batch, evaluate, rows, out, progress: as in `train`.

    Raises:
        ExperimentError: clamps of which one ignores the other, or places that the net does not have.

    Source: Singh et al. (arXiv 2404.07129), whose clamps are these for two pairs; here for any number.
    """
    given, own = Given(), {}
    spelled = []
    for name, clamps in (conditions or {}).items():
        mine = tuple(clamps) if isinstance(clamps, tuple | list) else () if clamps is None else (clamps,)
        text = "+".join(
            c if isinstance(c, str) else c.spelled if isinstance(c, Clamp) else _OWN + "unhashed" for c in mine
        )
        spelled.append(f"{name}={text}" if text else name)
        own |= {name: mine} if _OWN in text else {}
    if own:
        given.inputs["conditions"] = own
    request = ClampedRequest(
        world=named_world(given, world), seeds=seeds_asked(seeds), steps=steps,
        net=named_net(net), lr=lr, batch=batch, evaluate=evaluate, losses=losses, rows=rows, level=level,
        **({"conditions": tuple(spelled)} if conditions else {}),
    )  # fmt: skip
    return CLAMPED.run(request, progress=progress, kept=out, **given.inputs)  # type: ignore[return-value]  # a Clamped


def run(
    request: ClampedRequest,
    *,
    progress: bool,
    cells: Cells,
    world: World | None = None,
    conditions: Conditions | None = None,
    kept: Any = None,
) -> Clamped:
    """Train as the request says."""
    world = world or world_of(request.world)
    net, lr, seeds = net_of(request.net, world.net), request.lr or world.lr, seeds_of(request.seeds)
    clamps = {}
    for text in request.conditions:
        name, _, mine = text.partition("=")
        given = (conditions or {}).get(name, tuple(filter(None, mine.split("+"))))
        clamps[name.strip()] = checked_clamps(name, given, net.layers, net.heads)
    if len(clamps) < len(request.conditions):
        raise ExperimentError(f"got conditions {', '.join(request.conditions)}; expected a name of its own for each.")
    plans = [RunPlan(world, seed, mine) for mine in clamps.values() for seed in seeds]
    schedule = Schedule(request.steps, request.evaluate, request.losses, request.batch, request.rows, kept is not None)
    trained = train_stack(plans, net, lr, schedule, out=place_of(kept, cells), progress=progress)
    names = [name for name in clamps for _ in seeds]
    data = history_data(trained, plans, schedule, {"condition": names})
    times = [crossing(data["loss_step"], -curve, -request.level) for curve in data["train_loss"].values]
    data["steps_to_level"] = ("run", times, {"level": request.level})
    found = Clamped(data, provenance=origin_of(plans, net, lr, schedule))
    found.keep(trained.snapshots, world)
    return found
