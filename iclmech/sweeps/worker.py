"""`python -m iclmech.sweeps.worker DIR`: run the cells of a sweep, one after another, until none is left.

Any number of these may work on one sweep, on one machine or on many that see one file system. A cell is claimed by the lock of
its directory, which ends with its process.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iclmech._base import LOCK, BusyError, FileError, ICLMechError
from iclmech.experiments import ExperimentError
from iclmech.experiments._experiment import RESOLVERS
from iclmech.experiments._run import Run, run_in

from ._cell_state import directory_of, failure, is_done, read_state, state_of, write_state
from ._plan import Cell, Plan, read_plan

_PAUSE = 0.2
STOPPED = 75
"""Exit code where a signal stopped the work and cells are left."""


class Stop(BaseException):
    """A signal came: leave at once; what is finished is kept."""


class Worker:
    """Runs cells; keeps the model that it loaded last.

    Args:
        directory: of the sweep.
        rank: which of the workers this is: each begins with another model.
        memory_gb: bound on its memory, for the text of errors.
    """

    def __init__(self, directory: Path, rank: int = 0, memory_gb: float | None = None):
        self.directory, self.rank, self.memory_gb = directory, rank, memory_gb
        self.plan: Plan = read_plan(directory)
        self._held: dict[str, tuple[Any, Any]] = {}  # need → (names it was made of, the thing or why there is none)

    def work(self) -> int:
        """Run cells until each is done, has failed or is another worker's. Returns how many were run."""
        ran = 0
        while True:
            ran += sum(self.attempt(cell) for cell in self.order())
            if not any(state_of(directory_of(self.directory, cell.address)) == "waiting" for cell in self.plan.cells):
                return ran
            time.sleep(_PAUSE)

    def order(self) -> Iterator[Cell]:
        """Cells, those of one model together, the models in turn from the one of our rank on."""
        groups: dict[Any, list[Cell]] = {}
        for cell in self.plan.cells:
            groups.setdefault(_names("model", cell), []).append(cell)
        several = list(groups.values())
        first = self.rank % len(several) if several else 0
        for group in several[first:] + several[:first]:
            yield from group

    def attempt(self, cell: Cell) -> bool:
        """Run a cell unless it is done, has failed or is another's. True if it was run."""
        home = directory_of(self.directory, cell.address)
        if (is_done(home) and not (home / LOCK).exists()) or failure(home):
            return False
        try:
            with run_in(home) as directory:  # which clears what a worker left that was killed
                if is_done(home) or failure(home):  # by another worker, since we looked
                    directory.tidy()
                    return False
                self._run(cell, home, directory)
                return True
        except BusyError:
            return False

    def _run(self, cell: Cell, home: Path, directory: Run) -> None:
        """Run a cell that is ours; why it fails is told in its state, and the others go on."""
        started, error = time.monotonic(), ""
        write_state(home, attempts=read_state(home).attempts + 1)
        try:
            needs = [need for need in self.plan.runs.needs if need in RESOLVERS]
            inputs = {need: self._held_or_made(need, cell) for need in needs}
            directory.result_of(self.plan.runs, cell.request, inputs)
        except Exception as failed:
            error = self._told(failed)
        write_state(home, attempts=0, seconds=time.monotonic() - started, error=error)

    def _held_or_made(self, need: str, cell: Cell) -> Any:
        """A model or a task: the one that we hold, where it has the same name; else it is made, and the other one dropped."""
        names = _names(need, cell)
        if need not in self._held or self._held[need][0] != names:
            self._held.pop(need, None)
            try:
                self._held[need] = (names, RESOLVERS[need](cell.request))
            except ICLMechError as error:
                self._held[need] = (names, error)
        made = self._held[need][1]
        if isinstance(made, ICLMechError):
            raise made
        return made

    def _told(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError) or "allocate memory" in text:
            return f"out of memory at the bound of {self.memory_gb} GB for a process; give more, or fewer processes."
        return text if isinstance(error, ICLMechError) else f"{type(error).__name__}: {text}"


def _names(need: str, cell: Cell) -> tuple[Any, ...]:
    """The fields of a request that name a model, or a task."""
    fields = {"model": ("model", "device", "dtype"), "task": ("task", "data")}.get(need, ())
    return tuple(getattr(cell.request, name, None) for name in fields)


def bound_memory(gigabytes: float) -> None:
    """Let this process have so much memory of its own; beyond it, allocation fails, which is an error of the cell."""
    import resource

    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 when nothing is left to run, 75 when a signal came first, 2 where there is no sweep."""
    parser = argparse.ArgumentParser(prog="python -m iclmech.sweeps.worker", description="Run the cells of a sweep.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-gb", type=float, default=None)
    given = parser.parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when torch is imported, later
        os.environ[name] = str(given.threads)

    def stop(number: int, _: Any) -> None:
        raise Stop(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, stop)
    try:
        if given.memory_gb:
            bound_memory(given.memory_gb)
        Worker(given.directory, given.rank, given.memory_gb).work()
    except Stop:
        return STOPPED
    except (FileError, ExperimentError) as error:
        sys.stderr.write(f"iclmech: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    raise SystemExit(main())
