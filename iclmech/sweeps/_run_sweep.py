"""`sweep`: a grid over an experiment's request, run here or on Slurm, resumed, collected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iclmech._base import claimed, steps

from . import _slurm
from ._axes import SweepError
from ._cell_state import directory_of, failure, is_done, read_state, state_of, write_state
from ._local import LocalOptions, run_local
from ._plan import make_plan, write_plan
from ._sweep import Sweep

EXECUTORS = ("local", "slurm", "dry-run")
_LOOK, _ASK = 1.0, 10.0
"""Seconds between two looks at the cells, and between two questions to Slurm."""


def sweep(
    experiment: str,
    axes: Mapping[Any, Any],
    out: str | Path,
    executor: str = "local",
    slurm: Mapping[str, Any] | None = None,
    *,
    local: Mapping[str, Any] | None = None,
    wait: bool = True,
    progress: bool = True,
    **fixed: Any,
) -> Sweep:
    """Run an experiment at every point of a grid. Called again it goes on: finished cells are never run again.

    Args:
        experiment: a name, as in `list_experiments()`.
        axes: field of the request → values: a list or a range. Fields that go together are one axis:
            `{("model", "lr"): [("icl-mini", .03), ("smollm2-135m", .001)]}`, or "model,lr". The first names the dimension.
        out: directory of the sweep. Cells stand below cells/, each with its result, its table and its request.
        executor: "local" (worker processes of this machine), "slurm" (an array of jobs), "dry-run" (nothing is run or written;
            `.cost()` and `.status()` tell what would be).
        slurm: partition, time, memory, gpus_per_task, cpus_per_task, setup, tasks, parallel, account, qos, constraint,
            requeues, signal_seconds, sbatch; see the page *Sweeps*.
        local: processes (by default one for each core), memory_gb (bound of each; by default a share of the free memory).
        wait: for the jobs; without, `.status()` tells how far they are.
        progress: show a bar on standard error.
        fixed: the other fields of the request.

    Returns:
        A `Sweep`: `.data`, `.status()`, `.summary()`, `.claims()`, `.figures()`. A cell that fails is a hole, and its error is
        in `.status()`; the next call tries it again.

    Raises:
        SweepError: fields, values or options that do not exist. FileError: another process runs this sweep.

    Example:
        >>> import tempfile, iclmech as icl
        >>> plan = icl.sweep("compare", {"k": [1, 4], "seeds": range(1, 4)}, out=tempfile.mkdtemp(), executor="dry-run", lr=.03)
        >>> len(plan.status())
        6
    """
    if executor not in EXECUTORS:
        raise SweepError(f"got executor={executor!r}; expected one of {', '.join(EXECUTORS)}.")
    options = _slurm.SlurmOptions.of(slurm)
    directory, plan = Path(out), make_plan(experiment, axes, fixed)
    here = LocalOptions.of(local, len(plan.cells))
    found = Sweep(directory, plan)
    if executor == "dry-run":
        return found
    with claimed(directory):
        write_plan(plan, directory)
        with steps(f"sweep of {experiment}", len(plan.cells), enabled=progress, done=_finished(found)) as step:
            look = _Look(found, step)
            if executor == "local":
                forget_failures(found)
                run_local(directory, here, lambda: _left(found), look)
            else:
                _on_slurm(found, options, wait, look)
    return found


class _Look:
    """Moves the bar by the cells that were finished since the last look."""

    def __init__(self, found: Sweep, step: Any):
        self.found, self.step, self.seen, self.last = found, step, _finished(found), 0.0

    def __call__(self) -> None:
        if time.monotonic() - self.last < _LOOK:
            return
        self.last, now = time.monotonic(), _finished(self.found)
        for _ in range(now - self.seen):
            self.step(f"{now} of {len(self.found.plan.cells)} cells")
        self.seen = max(now, self.seen)


def _homes(found: Sweep) -> list[Path]:
    return [directory_of(found.directory, cell.address) for cell in found.plan.cells]


def _finished(found: Sweep) -> int:
    return sum(is_done(home) or bool(failure(home)) for home in _homes(found))


def _left(found: Sweep) -> int:
    """Cells that no worker has, and that are neither done nor given up."""
    return sum(state_of(home) == "waiting" for home in _homes(found))


def forget_failures(found: Sweep) -> None:
    """What failed in an earlier call is tried again."""
    for home in _homes(found):
        state = read_state(home)
        if (state.error or state.attempts) and not is_done(home):
            write_state(home, attempts=0, error="", seconds=None)


def _on_slurm(found: Sweep, options: _slurm.SlurmOptions, wait: bool, look: _Look) -> None:
    """Submit where no job of ours is left, and wait; where jobs ended without finishing, submit again while that gets on."""
    if not _slurm.alive(found.directory):
        forget_failures(found)
        if not _left(found):
            return
        _slurm.submit(found.directory, options, _left(found))
    before = -1
    while wait:
        asked = time.monotonic()
        while time.monotonic() - asked < _ASK and _finished(found) < len(found.plan.cells):
            look()
            time.sleep(_LOOK)
        look.last = 0.0
        look()
        if _finished(found) == len(found.plan.cells):
            return
        if not _slurm.alive(found.directory):
            if _finished(found) == before:
                return  # a whole array got nothing done: .status() and the logs in slurm/ say why
            before = _finished(found)
            _slurm.submit(found.directory, options, len(found.plan.cells) - before)
