"""The local executor: worker processes of this machine, one thread each, within its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._axes import SweepError

_POLL = 0.2
_SHARE = 0.9
"""Of the free memory, for all workers together, where no bound is given."""


@dataclass(frozen=True)
class LocalOptions:
    """How a sweep runs on this machine.

    Attributes:
        processes: at once; by default as many as there are cores.
        memory_gb: bound of each; by default an equal part of the free memory.
    """

    processes: int
    memory_gb: float

    @classmethod
    def of(cls, given: Mapping[str, Any] | None, n_cells: int) -> LocalOptions:
        """Options with what is left open filled in.

        Raises:
            SweepError: an unknown one, or a number that makes no sense.
        """
        given = dict(given or {})
        unknown = sorted(set(given) - {"processes", "memory_gb"})
        processes, memory = given.get("processes"), given.get("memory_gb")
        wrong = [v for v in (processes, memory) if v is not None and not (isinstance(v, int | float) and v > 0)]
        if unknown or wrong:
            raise SweepError(
                f"got local={given}; expected processes (a whole number) and memory_gb (gigabytes for each), both above zero."
            )
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        n = max(1, min(int(processes or cores), n_cells))
        return cls(n, float(memory or max(0.5, _SHARE * _free_gb() / n)))


def _free_gb() -> float:
    try:
        with open("/proc/meminfo") as file:
            kilobytes = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
        return kilobytes / 2**20
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def run_local(directory: Path, options: LocalOptions, left: Callable[[], int], look: Callable[[], None]) -> None:
    """Run workers until no cell is left. A worker that dies is replaced; a cell that kills its workers fails in the end.

    Args:
        directory: of the sweep.
        options: how many, how large.
        left: counts cells that still want a worker.
        look: called now and then, to show how far it is.
    """
    workers: dict[int, subprocess.Popen[bytes]] = {}
    logs = directory / "logs"
    logs.mkdir(exist_ok=True)
    try:
        while True:
            for rank, worker in list(workers.items()):
                if worker.poll() is not None:
                    del workers[rank]
            wanted = min(options.processes, left()) if len(workers) < options.processes else 0
            for rank in range(wanted):
                if rank not in workers:
                    workers[rank] = _start(directory, rank, options, logs)
            look()
            if not workers:
                return
            time.sleep(_POLL)
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _start(directory: Path, rank: int, options: LocalOptions, logs: Path) -> subprocess.Popen[bytes]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with open(logs / f"worker-{rank}.log", "ab") as log:
        return subprocess.Popen(
            [*worker_command(directory), "--rank", str(rank), "--memory-gb", f"{options.memory_gb:.3f}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **one, "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip


def worker_command(directory: Path) -> list[str]:
    """What starts a worker."""
    return [sys.executable, "-m", "iclmech.sweeps.worker", str(directory.resolve())]
