"""Sweeps on Slurm: options by themselves, and a real Slurm where there is one (`make slurm`)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import iclmech as icl
from iclmech.sweeps import Sweep, SweepError, _slurm
from iclmech.sweeps._slurm import SlurmOptions

ROOT = Path(__file__).parents[2]
AXES = {"n": [1, 2], "word": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("time", "minutes"),
    [(30, 30), ("30", 30), ("01:00:00", 60), ("0:01:30", 2), ("2-03:00:00", 3060), ("1-02", 1560), ("1-02:30", 1590)],
)
def test_times_are_read_as_slurm_reads_them(time: int | str, minutes: int):
    assert SlurmOptions.of({"time": time}).minutes == minutes


def test_memory_and_setup():
    options = SlurmOptions.of({"memory": "500MB", "setup": ["module load x"], "gpus_per_task": 1, "partition": "gpu"})
    given = _slurm._parameters(options)
    assert given["mem_gb"] == 500 / 1024
    assert given["slurm_setup"][-1] == "module load x"
    assert given["slurm_gpus_per_task"] == 1
    assert given["slurm_partition"] == "gpu"
    assert given["slurm_additional_parameters"] == {"requeue": True}


def test_without_submitit_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(SweepError, match=r"iclmech\[cluster\]"):
        _slurm.submit(tmp_path, SlurmOptions(), 1)


# -- a real one ---------------------------------------------------------------------------------------------------


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def cluster() -> Path:
    """The directory of the Slurm of `make slurm`."""
    conf = Path(os.environ.get("SLURM_CONF") or ROOT / ".slurm" / "slurm.conf")
    os.environ["SLURM_CONF"] = str(conf)
    missing = ""
    if not conf.is_file() or not shutil.which("sinfo"):
        missing = "there is no Slurm here; `make slurm` starts one"
    else:
        try:
            import submitit  # noqa: F401

            slurm("sinfo", "-h")
        except (ImportError, subprocess.CalledProcessError) as error:
            missing = f"{error}; `make slurm` starts a Slurm, the extra iclmech[cluster] brings submitit"
    if missing and os.environ.get("ICLMECH_REQUIRE_SLURM"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return conf.parent


def submit(
    out: Path, *, axes: Any = AXES, wait: bool = True, progress: bool = False, options: Any = None, **more: Any
) -> Sweep:
    given = {"time": 10, "memory": 1, "tasks": 2, **(options or {})}
    return icl.sweep("count", axes, out, "slurm", given, wait=wait, progress=progress, **more)


def until(ready: Any, seconds: float = 150) -> None:
    start = time.monotonic()
    while not ready():
        assert time.monotonic() - start < seconds, slurm("squeue")
        time.sleep(0.2)


def lines(log: Path) -> Counter[str]:
    return Counter(line.rpartition(" ")[0] for line in log.read_text().splitlines()) if log.exists() else Counter()


def alone(out: Path, axes: Any = AXES, **more: Any) -> Any:
    """The same dataset by the local executor."""
    return icl.sweep("count", axes, out, local={"processes": 1}, progress=False, **more).data.drop_attrs()


@pytest.mark.slurm
def test_an_array_of_jobs_gives_the_dataset_of_the_local_executor(cluster: Path, tmp_path: Path):
    log, said = tmp_path / "log", tmp_path / "said"
    found = submit(tmp_path / "s", seeds=3, log=str(log), options={"setup": [f"echo $SLURM_ARRAY_TASK_ID >> {said}"]})
    assert found.counts()["done"] == 6
    assert set(lines(log).values()) == {1}
    assert set(said.read_text().split()) == {"0", "1"}
    assert found.data.drop_attrs().identical(alone(tmp_path / "l", seeds=3))
    before = log.read_text()
    submit(tmp_path / "s", seeds=3, log=str(log))  # finished: nothing is submitted
    assert log.read_text() == before
    assert len(_slurm.submitted(tmp_path / "s")) == 1


@pytest.mark.slurm
def test_a_task_that_is_killed_is_made_up_for(cluster: Path, tmp_path: Path):
    log, out = tmp_path / "log", tmp_path / "s"
    submit(out, wait=False, seeds=3, pause=0.5, log=str(log))
    until(lambda: sum(lines(log).values()) > 2)
    (job,) = _slurm.submitted(out)
    slurm("scancel", "--signal=KILL", f"{job}_0")
    until(lambda: sum(lines(log).values()) > 6)
    os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)  # the worker itself, too
    slurm("scancel", job)
    until(lambda: not _slurm.alive(out))
    partly = icl.load(out)
    assert 0 < partly.counts()["done"] < 6  # type: ignore[attr-defined]  # a Sweep
    assert "cells of count are done" in partly.answer()[0]
    found = submit(out, seeds=3, pause=0.5, log=str(log))
    assert found.counts()["done"] == 6
    assert sum(lines(log).values()) <= 18 + 3  # at most the part that each of them was at
    assert found.data.drop_attrs().identical(alone(tmp_path / "l", seeds=3, pause=0.5))


@pytest.mark.slurm
def test_a_node_whose_daemon_is_killed(cluster: Path, tmp_path: Path):
    pid = cluster / "d.pid"
    if not pid.is_file():
        pytest.skip("this Slurm is not that of `make slurm`: its daemons are left alone")
    log, out = tmp_path / "log", tmp_path / "s"
    submit(out, wait=False, seeds=3, pause=0.3, log=str(log))
    until(lambda: sum(lines(log).values()) > 1)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    time.sleep(1)
    pid.unlink()
    subprocess.run([ROOT / "scripts" / "slurm.sh", "node", str(cluster)], check=True)
    found = submit(out, seeds=3, pause=0.3, log=str(log))
    assert found.counts()["done"] == 6
    assert set(lines(log).values()) == {1}
    assert found.data.drop_attrs().identical(alone(tmp_path / "l", seeds=3, pause=0.3))


@pytest.mark.slurm
def test_a_job_that_comes_to_its_time_limit_goes_back_into_the_queue(cluster: Path, tmp_path: Path):
    log, out, axes = tmp_path / "log", tmp_path / "s", {"word": ["a"]}
    submit(out, axes=axes, wait=False, seeds=20, pause=6.0, log=str(log), options={"time": 2, "signal_seconds": 20})
    (job,) = _slurm.submitted(out)
    until(lambda: "PENDING" in slurm("squeue", "-h", "-j", job, "-o", "%T") and sum(lines(log).values()) > 0, 240)
    ended = lines(log)
    assert sum(ended.values()) < 20
    slurm("scontrol", "update", f"jobid={job}", "starttime=now")  # Slurm makes what was requeued wait two minutes
    slurm("scontrol", "update", f"jobid={job}", "timelimit=10")
    found = submit(out, axes=axes, seeds=20, pause=6.0, log=str(log))
    assert found.counts()["done"] == 1
    assert len(_slurm.submitted(out)) == 1  # it was the same job
    assert sum(lines(log).values()) <= 20 + 1  # it went on from the parts that stood
    assert found.data.drop_attrs().identical(alone(tmp_path / "l", axes, seeds=20))
