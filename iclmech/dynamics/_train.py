"""`train`: small nets on a world, in one stack, measured on the way; what formed, when, and what came first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iclmech._base import Cells, Claim, by_each
from iclmech.experiments import Given, seeds_asked, seeds_of

from ._history import StackHistory, interval
from ._history_data import history_data, origin_of
from ._net_shape import Net, net_of
from ._requests import TRAIN, TrainRequest
from ._stack_training import RunPlan, Schedule, place_of, train_stack
from ._transitions import ABOVE, HIGH
from ._world import World, world_of

PLATEAU = 0.07
FORMED = 0.9


class History(StackHistory):
    """What `train` measured. See `StackHistory` for the numbers; `transitions`, `snapshot` and `task` for what follows."""

    kind = "train"

    def judged(self) -> list[Claim]:
        """Whether in-context learning formed, from a plateau, abruptly, and what came before it."""
        table, floor = self.transitions(), float(self.data["chance"].values[-1])
        guess = str(self.data["guess"].values[-1])
        final, plateau = table["final"].to_numpy(), table["plateau"].to_numpy()
        rises = (table["leaves"] - table["rise_steps"]).to_numpy()
        found = [
            _every("In-context learning forms", final, final >= FORMED, f"guessing {guess}", f"final accuracy at least {FORMED} in every run"),
            _every(
                f"Accuracy first stays at that of guessing {guess}", plateau, abs(plateau - floor) <= PLATEAU, f"{floor:.3g}",
                f"the plateau of every run within {PLATEAU} of {floor:.3g}",
            ),
            _every(
                "The rise is abrupt", rises, rises > 0, "steps before it less steps of the rise",
                f"in every run, fewer steps from {floor + ABOVE:.2g} to {HIGH} than before them",
            ),
        ]  # fmt: skip
        if "target_to_labels_half" in table:
            lead = (table["accuracy_half"] - table["target_to_labels_half"]).to_numpy()
            rule = "half-rise of attention before half-rise of accuracy in every run"
            found.append(
                _every("Attention from the query to labels comes first", lead, lead > 0, "steps before accuracy", rule)
            )
        return found


def _every(claim: str, values: np.ndarray, fine: Any, control: str, rule: str) -> Claim:
    """A claim about every run: it holds where it does in all, not where it does in none."""
    verdict = by_each(fine)
    known = values[~np.isnan(values)]
    low, high = interval(known)
    mean = float(known.mean()) if known.size else float("nan")
    return Claim(claim, mean, low, high, control, f"{rule} ({int(fine.sum())} of {len(values)})", verdict)


def train(
    world: World | str = "classes",
    seeds: int | Sequence[int] = 6,
    steps: int = 1200,
    *,
    net: Net | str | None = None,
    lr: float | None = None,
    batch: int = 32,
    evaluate: int = 50,
    losses: int = 0,
    rows: int = 256,
    out: str | Path | None = None,
    progress: bool = False,
) -> History:
    """Train small nets on a world, all in one stack, and measure them on the way.

    Args:
        world: a world, or its text.
        seeds: how many runs, or their seeds; a seed decides weights, world and data of its run, whatever stands beside it.
        steps: of training; at each, `batch` sequences a run.
        net: the shape of the nets; by default the world's.
        lr: learning rate of AdamW; by default the world's.
        evaluate: steps between two evaluations on all test sets (`rows` sequences each), at which snapshots are kept.
        losses: steps between two losses on the training mix; 0 is with the evaluations.
        out: a directory for state and snapshots; runs that stand there go on.
        progress: show a bar on standard error.

    Returns:
        A `History`.

    Raises:
        ExperimentError: a world and a net that do not go together, or no seeds.
        ModelError: other runs stand in `out`.

    >>> import iclmech as icl
    >>> history = icl.dynamics.train(icl.dynamics.Classes(novel=1.0), seeds=2, steps=4, evaluate=2, rows=16)
    >>> history.data["accuracy"].sizes["step"], history.snapshots.steps
    (3, [0, 2, 4])
    """
    given = Given()
    request = TrainRequest(
        world=named_world(given, world), seeds=seeds_asked(seeds), steps=steps,
        net=named_net(net), lr=lr, batch=batch, evaluate=evaluate, losses=losses, rows=rows,
    )  # fmt: skip
    return TRAIN.run(request, progress=progress, kept=out, **given.inputs)  # type: ignore[return-value]  # a History


def named_world(given: Given, world: World | str) -> str:
    """A world as a request names it: its text, or, for a class of one's own, its hash."""
    if isinstance(world, str):
        return world_of(world).spelled
    return world.spelled if world.known else given.name("world", world)


def named_net(net: Net | str | None) -> str | None:
    """A net as a request names it."""
    return None if net is None else net_of(net, Net()).spelled


def run(
    request: TrainRequest, *, progress: bool, cells: Cells, world: World | None = None, kept: Any = None
) -> History:
    """Train as the request says."""
    world = world or world_of(request.world)
    net, lr = net_of(request.net, world.net), request.lr or world.lr
    plans = [RunPlan(world, seed) for seed in seeds_of(request.seeds)]
    schedule = Schedule(request.steps, request.evaluate, request.losses, request.batch, request.rows)
    trained = train_stack(plans, net, lr, schedule, out=place_of(kept, cells), progress=progress)
    history = History(history_data(trained, plans, schedule), provenance=origin_of(plans, net, lr, schedule))
    history.keep(trained.snapshots.in_memory() if kept is None else trained.snapshots, world)
    return history
