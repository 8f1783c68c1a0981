"""Many runs in one stack: what each is, how they are trained, what comes back.

runs (world, seed, clamps, forgetting) ──► stack ──► the one trainer ──► rows of measurements, snapshots
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iclmech._base import Cells, digest
from iclmech.experiments import ExperimentError
from iclmech.training import Run, build_optimizers, resume, save_run, train as train_run

from ._clamped_pass import groups_of, loss_under
from ._feed import Feed, Forget
from ._measured import fixed_sequences, measure
from ._net_shape import Net
from ._snapshots import Snapshots
from ._world import World
from ._world_net import WorldNet

STATE = "state.pt"
SAVE_EVERY = 250
"""Steps between two states of an unfinished run, besides those at evaluations."""
LOSS_ROWS = 128
"""Sequences by which the loss on the training mix is followed."""


@dataclass(frozen=True)
class RunPlan:
    """One run of a stack. Its numbers depend on these values alone, never on what stands beside it."""

    world: World
    seed: int
    clamps: tuple[Any, ...] = ()
    forget: Forget | None = None


@dataclass(frozen=True)
class Schedule:
    """How long a stack is trained, and when it is measured.

    Attributes:
        evaluate: all test sets every so many steps, and at the end; 0 is at the end only.
        losses: the loss on the training mix every so many steps; 0 is never apart from the rest.
        rows: sequences of each test set.
        keep: whether snapshots are kept at evaluations.
    """

    steps: int
    evaluate: int = 50
    losses: int = 0
    batch: int = 32
    rows: int = 256
    keep: bool = True
    attention: bool = True

    def full(self, step: int) -> bool:
        """Whether everything is measured at this step."""
        return step == self.steps or (self.evaluate > 0 and step % self.evaluate == 0)

    def due(self, step: int) -> bool:
        """Whether anything is measured at this step."""
        return self.full(step) or (self.losses > 0 and step % self.losses == 0)


@dataclass
class Trained:
    """What a stack left: the trained nets, rows of measurements, snapshots, where forgetting ended."""

    module: WorldNet
    rows: list[dict[str, Any]]
    snapshots: Snapshots
    stopped: list[int]
    seconds: float
    tables: list[dict[str, Tensor]] = field(default_factory=list)


def place_of(kept: Any, cells: Cells) -> Path | None:
    """Where state and snapshots are kept: the directory asked for, or one among the parts of a run that can go on."""
    if kept is not None:
        return Path(kept)
    return None if cells.directory is None else cells.directory / "stack"


def train_stack(
    plans: Sequence[RunPlan],
    net: Net,
    lr: float,
    schedule: Schedule,
    *,
    out: str | Path | None = None,
    progress: bool = False,
) -> Trained:
    """Train runs of worlds of one shape side by side.

    Args:
        plans: the runs.
        net: shape of every net.
        lr: learning rate of AdamW (betas .9 and .98, no weight decay), constant.
        out: a directory in which state and snapshots are kept; a run that stands there goes on.

    Raises:
        ExperimentError: worlds of different shapes.
        ModelError: the directory holds other runs.
    """
    if len({plan.world.shape for plan in plans}) != 1:
        raise ExperimentError("got worlds of different shapes; expected knobs that leave sizes and labels as they are.")
    worlds, seeds = [p.world for p in plans], [p.seed for p in plans]
    tables = [world.tables(seed) for world, seed in zip(worlds, seeds, strict=True)]
    module = WorldNet(worlds[0], net, seeds)
    optimizers = build_optimizers(module, "adamw", lr=lr)
    forget = [p.forget for p in plans]
    feed = Feed(worlds, seeds, tables, schedule.batch, schedule.steps, forget, module, optimizers)
    groups = groups_of([p.clamps for p in plans])
    run = Run(
        module, optimizers, feed, lambda m, batch: loss_under(m, batch, groups), name=_name(plans, net, lr, schedule)
    )
    snapshots = Snapshots(None if out is None else Path(out) / "snapshots")
    if out is not None and (Path(out) / STATE).is_file():
        run = resume(run, Path(out) / STATE)
    tests = fixed_sequences(worlds, seeds, tables, schedule.rows)
    check = _checker(schedule, tests, worlds[0].ability, groups, feed)

    def between(step: int) -> bool:
        return out is not None and step % SAVE_EVERY == 0

    def save(run: Run) -> None:
        full = schedule.full(run.step)
        if full and schedule.keep:
            snapshots.add(run.step, module.state_dict())
        if out is not None and (full or between(run.step)):
            save_run(run, Path(out) / STATE)

    left = max(0, schedule.steps - run.step)
    train_run(run, left, check=check, save=save, at=schedule.due, save_at=between, progress=progress)
    return Trained(module, run.history, snapshots, feed.stopped, run.seconds, tables)


def _checker(
    schedule: Schedule, tests: dict[str, Any], probe: str, groups: Any, feed: Feed
) -> Callable[[Run, Any], dict[str, Any]]:
    some = tests["train"].part(0, LOSS_ROWS)

    def check(run: Run, measured: Any) -> dict[str, Any]:
        with torch.no_grad():
            loss = {"train_loss": loss_under(run.module, some, groups)["loss"].tolist()} if schedule.losses else {}
        if not schedule.full(run.step):
            return loss
        found = measure(run.module, tests, probe, groups, schedule.attention)
        feed.judge(run.step, found["accuracy"])
        return {"train_loss": found["loss"]["train"], **loss, **found}

    return check


def _name(plans: Sequence[RunPlan], net: Net, lr: float, schedule: Schedule) -> str:
    """What a checkpoint is of: everything but how long it is trained."""
    of = [[p.world.spelled, p.seed, [getattr(c, "spelled", repr(c)) for c in p.clamps], str(p.forget)] for p in plans]
    about = [schedule.batch, schedule.rows, schedule.evaluate, schedule.losses]
    return f"{len(plans)} runs of {plans[0].world.name}: {digest(of, net.spelled, lr, about)}"
