"""`tasks`: tasks that were seen and new ones, over the number of tasks in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iclmech._base import Cells, Claim, by_each
from iclmech.experiments import Given, seeds_asked, seeds_of

from ._net_shape import Net, net_of
from ._phase_diagram import PhaseDiagram, trained_grid
from ._requests import TASK_DIVERSITY, TasksRequest
from ._stack_training import Schedule, place_of
from ._train import named_net, named_world
from ._world import World, world_of

MEMORISED = (0.35, 0.9)
GENERALISED = (0.95, 0.05)


class TaskDiversity(PhaseDiagram):
    """`data`: accuracy and loss (n_tasks, seed, test_set): train (seen tasks), unseen, memory."""

    kind = "number-of-tasks"

    def judged(self) -> list[Claim]:
        """Whether few tasks are memorised, and many learned to be learned."""
        values, n = self.data["accuracy"], [int(v) for v in self.data["n_tasks"].values]
        few, many = (values.sel(n_tasks=t, test_set=["unseen", "memory"]).values for t in (n[0], n[-1]))
        kept = (few[:, 0] <= MEMORISED[0]) & (few[:, 1] >= MEMORISED[1])
        learned = (many[:, 0] >= GENERALISED[0]) & (many[:, 1] <= GENERALISED[1])
        rules = (
            f"unseen at most {MEMORISED[0]} and memory at least {MEMORISED[1]} with every seed",
            f"unseen at least {GENERALISED[0]} and memory at most {GENERALISED[1]} with every seed",
        )
        found = []
        for claim, fine, rule, unseen in (
            (f"{_count(n[0])} are memorised, new ones are not learned", kept, rules[0], few[:, 0]),
            (f"{_count(n[-1])} are not memorised, new ones are learned in context", learned, rules[1], many[:, 0]),
        ):
            verdict = by_each(fine)
            low, high = float(unseen.min()), float(unseen.max())
            found.append(Claim(claim, float(unseen.mean()), low, high, "unseen, range of seeds", rule, verdict))
        return found


def _count(n: int) -> str:
    return f"{n} tasks" if n else "Tasks without end"


def tasks(
    n_tasks: Sequence[int] = (4, 16, 64, 256),
    *,
    world: World | str = "tasks",
    seeds: int | Sequence[int] = 3,
    steps: int = 1000,
    net: Net | str | None = None,
    lr: float | None = None,
    batch: int = 32,
    rows: int = 512,
    out: str | Path | None = None,
    progress: bool = False,
) -> TaskDiversity:
    """Train with each number of tasks; at the end measure seen tasks, new ones, and what was stored.

    Args:
        n_tasks: numbers of tasks; 0 is a new one in every sequence.
        world: `Tasks` with its other knobs.
        seeds, steps, net, lr, batch, rows, out, progress: as in `phase_diagram`.

    Source: Kirsch et al. (arXiv 2212.04458); memory is ours: seen tasks whose labels in the context are one further.
    """
    given = Given()
    request = TasksRequest(
        n_tasks=tuple(int(n) for n in n_tasks), world=named_world(given, world),
        seeds=seeds_asked(seeds), steps=steps, net=named_net(net), lr=lr, batch=batch, rows=rows,
    )  # fmt: skip
    return TASK_DIVERSITY.run(request, progress=progress, kept=out, **given.inputs)  # type: ignore[return-value]  # a TaskDiversity


def run(
    request: TasksRequest, *, progress: bool, cells: Cells, world: World | None = None, kept: Any = None
) -> TaskDiversity:
    """Train as the request says."""
    base = world or world_of(request.world)
    schedule = Schedule(request.steps, 0, 0, request.batch, request.rows, keep=False, attention=False)
    net, seeds = net_of(request.net, base.net), seeds_of(request.seeds)
    axes = {"n_tasks": list(request.n_tasks)}
    data, origin = trained_grid(
        base, axes, seeds, net, request.lr or base.lr, schedule, place_of(kept, cells), progress
    )
    return TaskDiversity(data, provenance=origin)
