"""`phase_diagram`: memory or context? A grid over knobs of a world, every seed of every cell in the same stack."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Cells, Claim, Result, Verdict, by_interval
from iclmech.experiments import ExperimentError, Given, seeds_asked, seeds_of

from ._history import interval
from ._history_data import origin_of
from ._net_shape import Net, net_of
from ._requests import PHASE_DIAGRAM, PhaseRequest
from ._spelled import with_knobs
from ._stack_training import RunPlan, Schedule, place_of, train_stack
from ._train import named_net, named_world
from ._world import World, world_class, world_of

if TYPE_CHECKING:
    import pandas as pd

Axes = Mapping[str, Sequence[Any]]
BOTH = 0.4
"""Accuracy that both abilities must have where they are said to be there together."""
MOVED = 0.05
"""Difference along an axis that counts."""
APART = 0.4
"""Range over seeds from which one setting is said to have more than one outcome."""


class PhaseDiagram(Result):
    """What runs could do at the last step, by what their data were like.

    `data`: accuracy and loss (…, seed, test_set), the axes of the grid first.
    """

    kind = "phase-diagram"

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [str(d) for d in self.data["accuracy"].dims if d not in ("seed", "test_set")]

    @property
    def ability(self) -> str:
        """The test set that shows learning in context."""
        return str(self.provenance["ability"])

    def summary(self) -> pd.DataFrame:
        """One row per cell and test set: the axes, `test_set`, `median`, `lowest`, `highest`, and every seed by its number."""
        import pandas as pd

        rows = []
        values = self.data["accuracy"]
        for cell in itertools.product(*(values[axis].values for axis in self.axes), values["test_set"].values):
            mine = values.sel(dict(zip([*self.axes, "test_set"], cell, strict=True)))
            row = dict(zip([*self.axes, "test_set"], cell, strict=True))
            row |= {"median": float(mine.median()), "lowest": float(mine.min()), "highest": float(mine.max())}
            rows.append(row | {f"seed {int(s)}": float(mine.sel(seed=s)) for s in values["seed"].values})
        return pd.DataFrame(rows)

    def judged(self) -> list[Claim]:
        """What moves in-context learning along each axis, where it stands beside memory, and where seeds part."""
        values = self.data["accuracy"].sel(test_set=self.ability)
        found = []
        for axis in self.axes:
            first, last = values[axis].values[[0, -1]]
            moved = values.sel({axis: last}) - values.sel({axis: first})
            by_seed = moved.mean([d for d in moved.dims if d != "seed"]).values
            low, high = interval(by_seed)
            claim = f"There is more learning in context at {axis} {last} than at {first}"
            rule = f"mean over the other cells, at least 3 seeds, drawn again: the interval of the difference lies above {MOVED}"
            verdict: Verdict = by_interval(low, high, MOVED) if len(by_seed) > 2 else "not shown"
            found.append(Claim(claim, float(by_seed.mean()), low, high, f"{MOVED}", rule, verdict, {"axis": axis}))
        if "in_weights" in self.data["test_set"].values:
            found.append(self._both(values))
        return [*found, self._apart(values)]

    def _both(self, context: xr.DataArray) -> Claim:
        both = (context >= BOTH) & (self.data["accuracy"].sel(test_set="in_weights") >= BOTH)
        most = both.mean("seed") >= 0.5
        rule = f"in some cell, in-context and in-weights accuracy both at least {BOTH} with half of the seeds or more"
        share = float(both.mean("seed").max())
        return Claim(
            f"Context and weights are both used in {self._cells(most)}", share, float("nan"), float("nan"), "", rule,
            "holds" if bool(most.any()) else "does not hold",
        )  # fmt: skip

    def _apart(self, context: xr.DataArray) -> Claim:
        reach = context.max("seed") - context.min("seed")
        enough = context.sizes["seed"] >= 3
        rule = f"with at least 3 seeds, in-context accuracies of one cell differ by {APART} or more"
        return Claim(
            f"Seeds end differently in {self._cells(reach >= APART)}", float(reach.max()), float("nan"), float("nan"), "", rule,
            "not applicable" if not enough else "holds" if bool((reach >= APART).any()) else "does not hold",
        )  # fmt: skip

    def _cells(self, chosen: xr.DataArray) -> str:
        names = [
            " ".join(f"{axis} {context}" for axis, context in zip(self.axes, cell, strict=True))
            for cell in itertools.product(*(chosen[axis].values for axis in self.axes))
            if bool(chosen.sel(dict(zip(self.axes, cell, strict=True))))
        ]
        return "; ".join(names) or "no cell"


def phase_diagram(
    world: World | type[World] | str = "classes",
    axes: Axes | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    steps: int = 1500,
    net: Net | str | None = None,
    lr: float | None = None,
    batch: int = 32,
    rows: int = 512,
    out: str | Path | None = None,
    progress: bool = False,
    **knobs: Any,
) -> PhaseDiagram:
    """Train every cell of a grid with every seed, and measure all at the last step.

    Args:
        world: a world, its class, or its text.
        axes: {knob: values}; number of classes, burstiness and Zipf exponent by default.
        seeds: how many, or which; three or more, since the boundary between the phases has more than one outcome.
        rows: sequences of each test set.
        knobs: of the world, besides the axes.
        steps, net, lr, batch, out, progress: as in `train`.

    Returns:
        A `PhaseDiagram`; accuracy (…, seed, test_set).

    Raises:
        ExperimentError: a knob that the world does not have, or a value that it does not take.

    Source: Reddy (arXiv 2312.03002); Chan et al. (arXiv 2205.05055).
    """
    given = Given()
    base = with_knobs(world_class(world)() if isinstance(world, type) else world_of(world), knobs)
    spelled = tuple(f"{name}={'/'.join(repr(v) for v in _plain(values))}" for name, values in (axes or {}).items())
    request = PhaseRequest(
        world=named_world(given, base), seeds=seeds_asked(seeds), steps=steps,
        net=named_net(net), lr=lr, batch=batch, rows=rows, **({"axes": spelled} if axes else {}),
    )  # fmt: skip
    return PHASE_DIAGRAM.run(request, progress=progress, kept=out, **given.inputs)  # type: ignore[return-value]  # a PhaseDiagram


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in values]


def run(
    request: PhaseRequest, *, progress: bool, cells: Cells, world: World | None = None, kept: Any = None
) -> PhaseDiagram:
    """Train as the request says."""
    base = world or world_of(request.world)
    axes = dict(map(_axis, request.axes))
    net, seeds = net_of(request.net, base.net), seeds_of(request.seeds)
    schedule = Schedule(request.steps, 0, 0, request.batch, request.rows, keep=False, attention=False)
    data, origin = trained_grid(
        base, axes, seeds, net, request.lr or base.lr, schedule, place_of(kept, cells), progress
    )
    return PhaseDiagram(data, provenance=origin)


def _axis(text: str) -> tuple[str, list[Any]]:
    name, _, values = text.partition("=")
    try:
        return name.strip(), [ast.literal_eval(value) for value in values.split("/")]
    except (SyntaxError, ValueError):
        raise ExperimentError(f"got the axis {text!r}; expected knob=value/value, such as bursty=0.5/1.0.") from None


def trained_grid(
    base: World, axes: Axes, seeds: Sequence[int], net: Net, lr: float, schedule: Schedule, out: Any, progress: bool
) -> tuple[xr.Dataset, dict[str, Any]]:
    """accuracy and loss (axes…, seed, test_set) at the last step, and where they come from; a stack for each shape of world."""
    cells = list(itertools.product(*axes.values()))
    worlds = [with_knobs(base, dict(zip(axes, cell, strict=True))) for cell in cells]
    plans = [RunPlan(world, seed) for world in worlds for seed in seeds]
    found: dict[str, np.ndarray] = {}
    for number, shape in enumerate(dict.fromkeys(plan.world.shape for plan in plans)):
        chosen = [n for n, plan in enumerate(plans) if plan.world.shape == shape]
        place = None if out is None else Path(out) / f"stack{number}"
        last = train_stack([plans[n] for n in chosen], net, lr, schedule, out=place, progress=progress).rows[-1]
        for name in ("accuracy", "loss"):
            for test_set, values in last[name].items():
                found.setdefault(f"{name}/{test_set}", np.full(len(plans), np.nan))[chosen] = values
    sets = list(dict.fromkeys(key.partition("/")[2] for key in found))
    lengths = (*(len(values) for values in axes.values()), len(seeds))
    coordinates = {**{k: list(v) for k, v in axes.items()}, "seed": list(seeds), "test_set": sets}
    arrays = {n: np.stack([found[f"{n}/{s}"].reshape(lengths) for s in sets], -1) for n in ("accuracy", "loss")}
    data = xr.Dataset({name: (tuple(coordinates), values) for name, values in arrays.items()}, coordinates)
    data.coords["guess"] = list(base.chance)
    data["chance"] = ("guess", list(base.chance.values()))
    return data, origin_of(plans, net, lr, schedule, task_knobs=base.spelled)
