"""Sweeps on this machine: every cell once, failures as holes, memory bounded, nothing of ours pickled or imported again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iclmech as icl
from iclmech._base import FileError
from iclmech.sweeps import Sweep, SweepError
from iclmech.sweeps._cell_state import directory_of
from iclmech.sweeps.worker import Worker

AXES = {"n": [1, 2], "word": ["a", "b", "c"]}


def swept(out: Path, axes: dict[Any, Any] = AXES, processes: int = 1, **more: Any) -> Sweep:
    return icl.sweep("count", axes, out, local={"processes": processes}, progress=False, **more)


def lines(log: Path) -> Counter[str]:
    return Counter(line.rpartition(" ")[0] for line in log.read_text().splitlines())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A finished sweep by a worker in this process."""
    out = tmp_path_factory.mktemp("whole")
    plan = icl.sweep("count", AXES, out, executor="dry-run", seeds=3)
    from iclmech.sweeps._plan import write_plan

    write_plan(plan.plan, out)
    Worker(out).work()
    return Sweep(out)


def test_the_data_are_those_of_each_cell_alone(whole: Sweep):
    assert whole.data["value"].dims == ("n", "word", "seed", "item")
    for n in (1, 2):
        for word in "abc":
            from counting import COUNT, CountRequest

            alone = COUNT.run(CountRequest(n=n, word=word, seeds=3), progress=False).data["value"]
            joined = whole.data["value"].sel(n=n, word=word).isel(item=slice(n))
            assert joined.values.tobytes() == alone.values.tobytes()
    assert np.isnan(whole.data["value"].sel(n=1).isel(item=1)).all()
    assert (whole.data["hole"] == "").all()
    assert whole.data["first"].dims == ("n", "word")


def test_it_says_how_it_stands(whole: Sweep):
    status = whole.status()
    assert list(status.columns) == ["cell", "state", "seconds", "error"]
    assert set(status["state"]) == {"done"}
    assert status["cell"].iloc[0] == "n=1, word=a"
    assert (status["seconds"] > 0).all()
    assert whole.answer()[0] == "6 of 6 cells of count are done."
    assert any(said.startswith("is above nothing: ") and "of 6 cells" in said for said in whole.answer())
    assert list(whole.claims().columns)[:3] == ["n", "word", "claim"]
    assert len(whole.summary()) == 6
    assert "6 of 6 cells done" in repr(icl.load(whole.directory))
    assert "<table" in whole._repr_html_()


def test_a_failing_cell_is_a_hole_and_is_tried_again(tmp_path: Path):
    log = tmp_path / "log"
    found = swept(tmp_path / "s", processes=2, fail="b", log=str(log))
    assert found.counts() == {"done": 4, "running": 0, "failed": 2, "waiting": 0}
    failed = found.status().query("state == 'failed'")
    assert set(failed["error"]) == {"the word 'b' is not wanted; expected another."}
    assert np.isnan(found.data["value"].sel(word="b")).all()
    assert "not wanted" in str(found.data["hole"].sel(n=1, word="b").item())
    first = lines(log)
    assert set(first.values()) == {1}
    again = swept(tmp_path / "s", processes=2, fail="b", log=str(log))
    assert again.counts() == found.counts()
    assert {line: n for line, n in (lines(log) - first).items() if line.startswith("b")} == {"b 1 0": 1, "b 2 0": 1}
    assert not any(n > 1 for line, n in lines(log).items() if not line.startswith("b"))


def test_a_cell_that_kills_its_process_and_one_that_wants_too_much_fail_alone(tmp_path: Path):
    killed = swept(tmp_path / "k", {"word": ["a", "b"]}, fail="!a")
    assert killed.counts()["done"] == 1
    assert "its process died 3 times" in killed.status()["error"].iloc[0]
    large = icl.sweep(
        "count", {"word": ["a", "b"]}, tmp_path / "m", local={"processes": 1, "memory_gb": 3}, progress=False, fail="#b"
    )
    assert large.counts() == {"done": 1, "running": 0, "failed": 1, "waiting": 0}
    assert "out of memory at the bound of 3" in large.status()["error"].iloc[1]


def test_finished_cells_serve_a_wider_sweep(tmp_path: Path):
    log = tmp_path / "log"
    swept(tmp_path / "s", {"word": ["a", "b"]}, log=str(log))
    before = lines(log)
    wider = swept(tmp_path / "s", {"word": ["b", "c"], "n": [2]}, log=str(log))
    assert lines(log) - before == Counter({"c 2 0": 1, "c 2 1": 1})
    assert wider.counts()["done"] == 2
    with pytest.raises(FileError, match="a sweep of count"):
        icl.sweep("order", {"k": [2]}, tmp_path / "s", progress=False)


def test_of_two_sweeps_in_one_directory_one_wins(tmp_path: Path):
    code = (
        "import sys, iclmech as icl\n"
        "icl.sweep('count', {'word': ['a']}, sys.argv[1], local={'processes': 1}, progress=False, pause=3.0)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s")])
    until(lambda: (tmp_path / "s" / "sweep.json").exists())
    with pytest.raises(FileError, match="is being written by process"):
        swept(tmp_path / "s", {"word": ["a"]}, pause=3.0)
    assert first.wait() == 0
    assert Sweep(tmp_path / "s").counts()["done"] == 1


def until(ready: Any, seconds: float = 90) -> None:
    start = time.monotonic()
    while not ready():
        assert time.monotonic() - start < seconds
        time.sleep(0.05)


def test_a_killed_worker_loses_at_most_the_part_that_it_was_at(tmp_path: Path, whole: Sweep):
    log, out = tmp_path / "log", tmp_path / "s"
    thread = threading.Thread(target=lambda: swept(out, seeds=3, log=str(log), pause=0.3))
    thread.start()
    until(lambda: log.exists() and len(log.read_text().splitlines()) > 4)
    os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)
    assert "cells of count are done" in icl.load(out).answer()[0]
    assert set(icl.load(out).data["hole"].values.ravel()) & {"running", "not run yet"}
    thread.join()
    assert sum(lines(log).values()) <= 18 + 1
    assert Sweep(out).data.drop_attrs().identical(whole.data.drop_attrs())


def test_cells_are_json_and_addressed_by_what_they_depend_on(whole: Sweep, tmp_path: Path):
    for cell in whole.plan.cells:
        content = json.loads((directory_of(whole.directory, cell.address) / "cell.json").read_text())
        assert content == {"experiment": "count", "request": cell.request.record()}
    suffixes = {path.suffix for path in whole.directory.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".nc", ".csv", ".log"}
    assert len({cell.address for cell in whole.plan.cells}) == 6
    records = [{"text": f"t{i}", "label": i % 2, "label_name": ["no", "yes"][i % 2]} for i in range(8)]

    def address(first: str) -> str:
        (tmp_path / "t").mkdir(exist_ok=True)
        for part in ("train", "test"):
            rows = [{**r, "text": first} if not i else r for i, r in enumerate(records)]
            (tmp_path / "t" / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        dry = icl.sweep("order", {"task": [str(tmp_path / "t")]}, tmp_path / "d", executor="dry-run")
        return dry.plan.cells[0].address

    assert address("x") == address("x") != address("y")
    assert not (tmp_path / "d").exists()


def test_a_model_is_loaded_once_per_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from iclmech.experiments import _experiment
    from iclmech.sweeps._plan import write_plan

    plan = icl.sweep(
        "induction-heads",
        {"seed": [0, 1], "model": ["icl-mini", "icl-mini@step-500"]},
        tmp_path,
        executor="dry-run",
        n_rows=2,
    )
    write_plan(plan.plan, tmp_path)
    loads: list[str] = []
    load = _experiment.RESOLVERS["model"]
    monkeypatch.setitem(_experiment.RESOLVERS, "model", lambda request: loads.append(request.model) or load(request))
    Worker(tmp_path).work()
    assert loads == ["icl-mini", "icl-mini@step-500"]
    assert Sweep(tmp_path).counts()["done"] == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"executor": "cloud"}, "local, slurm, dry-run"),
        ({"local": {"cores": 2}}, "processes"),
        ({"local": {"processes": 0}}, "above zero"),
        ({"slurm": {"queue": "main"}}, "partition, time"),
        ({"slurm": {"time": "soon"}}, "hours:minutes:seconds"),
        ({"slurm": {"memory": "much"}}, "4GB"),
        ({"n": 3}, "as an axis and as a keyword"),
        ({"m": 3}, "got the field 'm'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(arguments: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(SweepError, match=says):
        icl.sweep("count", AXES, tmp_path / "s", **arguments)
    assert not (tmp_path / "s").exists()
