"""The Slurm executor: an array of jobs, each a worker, submitted through submitit.

Jobs and this machine must see the sweep's directory under one path. A job that is preempted, or whose node fails, is requeued by
Slurm; one that comes near its time limit stops its worker and requeues itself; whatever happens, finished cells stand.
"""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from iclmech._base import atomic_write, from_ascii_json, to_ascii_json

from ._axes import SweepError
from ._local import worker_command

_JOBS = "slurm-jobs.json"
_AGAIN = """status=$?
if [ $status -ne 0 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_}}${{SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}}"
fi
exit $status"""


@dataclass(frozen=True)
class SlurmOptions:
    """How a sweep runs on Slurm.

    Attributes:
        partition, account, qos, constraint: as sbatch takes them.
        time: limit of a job: minutes, or "hours:minutes:seconds", or "days-hours:minutes:seconds".
        memory: gigabytes for a job, or "4GB", "500MB".
        cpus_per_task, gpus_per_task: for a job; its worker computes with so many threads.
        setup: lines of shell before the worker: modules, an environment.
        tasks: jobs in the array; each takes cells until none is left.
        parallel: jobs at once.
        requeues: how often a job that ended early goes back into the queue.
        signal_seconds: before the time limit, when a worker stops.
        sbatch: further flags: {"mail-type": "END"}.
    """

    partition: str | None = None
    time: int | str = 60
    memory: int | float | str = 4
    cpus_per_task: int = 1
    gpus_per_task: int = 0
    setup: tuple[str, ...] = ()
    tasks: int = 32
    parallel: int = 256
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    requeues: int = 20
    signal_seconds: int = 90
    sbatch: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> SlurmOptions:
        """Checked options.

        Raises:
            SweepError: an unknown one, or a time or a memory that cannot be read.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(given or {}) - set(known))
        if unknown:
            raise SweepError(
                f"got slurm={{{unknown[0]!r}: …}}; expected some of {', '.join(known)}. Any other flag of sbatch goes into sbatch={{…}}."
            )
        made = cls(**{**(given or {}), **({"setup": tuple(given["setup"])} if given and "setup" in given else {})})
        _ = made.minutes, made.gigabytes  # read before anything is submitted
        return made

    @property
    def minutes(self) -> int:
        """The time limit."""
        text = str(self.time)
        found = re.fullmatch(r"(?:(?P<d>\d+)-)?(?:(?P<h>\d+):)?(?P<m>\d+)(?::(?P<s>\d+))?", text)
        if found is None or (found["h"] and not found["s"] and not found["d"]):
            raise SweepError(
                f"got time={text!r}; expected minutes, 'hours:minutes:seconds' or 'days-hours:minutes:seconds'."
            )
        days, hours, minutes, seconds = (int(found[part] or 0) for part in "dhms")
        if found["d"] and not found["h"] and not found["s"]:  # days-hours
            hours, minutes = minutes, 0
        return max(1, days * 1440 + hours * 60 + minutes + (seconds + 59) // 60)

    @property
    def gigabytes(self) -> float:
        """The memory of a job."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([GM]?)B?", str(self.memory), re.IGNORECASE)
        if found is None or not float(found[1]):
            raise SweepError(f"got memory={self.memory!r}; expected gigabytes, or a text such as '4GB' or '500MB'.")
        return float(found[1]) / (1024 if found[2].upper() == "M" else 1)


def submit(directory: Path, options: SlurmOptions, n_cells: int) -> list[str]:
    """Submit one array of workers and remember its number.

    Raises:
        SweepError: submitit is missing, there is no Slurm here, or it refuses.
    """
    try:
        submitit: Any = importlib.import_module("submitit")
    except ImportError:
        raise SweepError("executor='slurm' needs submitit. Run: pip install 'iclmech[cluster]'") from None
    try:
        executor = submitit.AutoExecutor(folder=directory / "slurm", cluster="slurm")
        executor.update_parameters(**_parameters(options))
        command = [*worker_command(directory), "--threads", str(options.cpus_per_task)]
        workers = [
            submitit.helpers.CommandFunction([*command, "--rank", str(rank)])
            for rank in range(min(options.tasks, n_cells))
        ]
        jobs = executor.submit_array(workers) if len(workers) > 1 else [executor.submit(workers[0])]
    except (RuntimeError, ValueError, OSError, submitit.core.utils.FailedJobError) as error:
        raise SweepError(f"Slurm does not take the sweep: {' '.join(str(error).split())}") from error
    numbers = sorted({job.job_id.split("_")[0] for job in jobs})
    with atomic_write(directory / _JOBS) as temporary:
        temporary.write_text(to_ascii_json([*submitted(directory), *numbers]))
    return numbers


def _parameters(options: SlurmOptions) -> dict[str, Any]:
    """The options in submitit's words."""
    plain = {
        "partition": options.partition,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
    }
    more: dict[str, Any] = {f"slurm_{name}": value for name, value in plain.items() if value is not None}
    if options.gpus_per_task:
        more["slurm_gpus_per_task"] = options.gpus_per_task
    return {
        "name": "iclmech-sweep",
        "timeout_min": options.minutes,
        "mem_gb": options.gigabytes,
        "cpus_per_task": options.cpus_per_task,
        "slurm_array_parallelism": options.parallel,
        "slurm_setup": [
            f"export OMP_NUM_THREADS={options.cpus_per_task}",
            "export TOKENIZERS_PARALLELISM=false",
            *options.setup,
        ],
        "slurm_teardown": _AGAIN.format(requeues=options.requeues).splitlines(),
        "slurm_signal_delay_s": options.signal_seconds,
        "slurm_additional_parameters": {"requeue": True, **options.sbatch},
        **more,
    }


def submitted(directory: Path) -> list[str]:
    """Numbers of the jobs of a sweep."""
    try:
        return [str(number) for number in from_ascii_json((directory / _JOBS).read_text())]
    except (OSError, ValueError):
        return []


def alive(directory: Path) -> bool:
    """Whether a job of the sweep is in Slurm's queue, waiting or running."""
    jobs = submitted(directory)
    if not jobs:
        return False
    command = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join(jobs[-50:])}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return True  # a controller that does not answer has not ended them
    if found.returncode and "Invalid job id" not in found.stderr:
        return True
    return bool(found.stdout.split())
