"""kill −9, a full disk, a directory that cannot be written: nothing torn, at most one part lost, resumed results equal.

Runs are forked from this process, so that the imports and the model are there; every second kill strikes at a random line of the
code that writes. `ICLMECH_CAMPAIGN=1` does it at full size.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import iclmech as icl
from iclmech._base import (
    Cells,
    FileError,
    ICLMechError,
    _cells,
    _files,
    _result_file,
    _run_directory,
    _temporaries,
    read_safetensors,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))
import counting

CAMPAIGN = bool(os.environ.get("ICLMECH_CAMPAIGN"))
MOMENTS = 200 if CAMPAIGN else 4
BUDGETS = 50 if CAMPAIGN else 3
WRITING = {module.__file__ for module in (_cells, _files, _result_file, _run_directory, _temporaries)}
TRIO = {"result.nc", "summary.csv", "config.json"}

COMPARE = {
    "k": 1,
    "n_queries": 2,
    "seeds": 2,
    "lr": [0.01, 0.03],
    "updates": "gd",
    "n_examples": 0,
    "controls": "none",
    "progress": False,
}
CIRCUIT = {"k": 2, "n_queries": 4, "n_contexts": 1, "seeds": 2, "edges": ["x->s"], "windows": [(0, 1)], "n_held_out": 4, "n_boot": 10,
           "untrained": False}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


def work_of(what: str, model: icl.ICLModel) -> Callable[[Path], None]:
    """What is killed: a function of the directory."""
    if what == "compare":
        task = icl.load_task("mini/sentiment")
        return lambda out: icl.compare(model, task, out=out, **COMPARE)  # type: ignore[return-value]
    if what == "circuit":
        task = icl.load_task("mini/held-pair")
        return lambda out: icl.inference_circuit(model, task, out=out, **CIRCUIT)  # type: ignore[return-value]
    return sweep_here


def sweep_here(out: Path) -> None:
    """A sweep of two cells by a worker in this process."""
    from iclmech._base import claimed
    from iclmech.sweeps import Sweep
    from iclmech.sweeps._plan import make_plan, write_plan
    from iclmech.sweeps._run_sweep import forget_failures
    from iclmech.sweeps.worker import Worker

    with claimed(out):
        write_plan(make_plan("count", {"word": ["a", "b"]}, {"seeds": 3}), out)
        forget_failures(Sweep(out))
        Worker(out).work()


def forked(work: Callable[[], Any]) -> int:
    """Run in a child; its process number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def logged(log: Path, work: Callable[[], Any]) -> None:
    """Do it with a line in `log` for every part that is begun, and one for every part that is kept."""
    once = Cells.once

    def telling(self: Cells, name: str, make: Any, parts: str = "") -> Any:
        def begun() -> Any:
            with open(log, "a") as file:
                file.write(f"{self.directory} {name}\n")
            return make()

        return once(self, name, make if parts else begun, parts)

    Cells.once = telling  # type: ignore[method-assign]
    work()


def dying_at(line: int, work: Callable[[], Any]) -> int:
    """Do it, and kill this process at so many lines of the code that writes. Returns how many lines there were."""
    seen = [0]

    def local(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            seen[0] += 1
            if seen[0] == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return local

    sys.settrace(lambda frame, event, _: local if frame.f_code.co_filename in WRITING else None)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen[0]


def read_everything(out: Path) -> None:
    """Every file that has its name can be read, and a result does not stand without its table and its request."""
    for path in out.rglob("*") if out.exists() else ():
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(out).parts):
            continue
        if path.suffix == ".safetensors":
            read_safetensors(path, "iclmech cell", 1)
        elif path.suffix == ".nc":
            icl.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
    for home in [out, *out.glob("cells/*")]:
        finished = home / ".finished"
        there = {p.name for folder in (home, finished) if folder.is_dir() for p in folder.iterdir()} & TRIO
        assert there in (set(), TRIO), (home, there)


def bits(result: icl.Result) -> dict[str, Any]:
    return {
        f"{group}/{name}": v.values.tolist() if v.dtype.kind in "OU" else v.values.tobytes()
        for group, dataset in result.groups.items()
        for name, v in dataset.variables.items()
    }


def finished(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("what", ["compare", "circuit", "sweep"])
def test_kill_9_at_any_moment(what: str, model: icl.ICLModel, tmp_path: Path):
    work = work_of(what, model)
    counted = tmp_path / "lines"
    log = tmp_path / "whole.log"
    whole = tmp_path / "whole"
    assert (
        finished(forked(lambda: logged(log, lambda: counted.write_text(str(dying_at(-1, lambda: work(whole))))))) == 0
    )
    n_lines, start = int(counted.read_text()), time.monotonic()
    assert finished(forked(lambda: work(tmp_path / "timed"))) == 0
    seconds = time.monotonic() - start
    parts, expected = Counter(log.read_text().replace(str(whole), "").splitlines()), bits(icl.load(whole))
    assert set(parts.values()) == {1}
    chance = random.Random(0)
    strikes = Counter()
    for n in range(MOMENTS):
        out, log = tmp_path / f"run{n}", tmp_path / f"{n}.log"
        if n % 2:
            line = chance.randrange(1, n_lines + 1)
            pid = forked(lambda out=out, log=log, line=line: logged(log, lambda: dying_at(line, lambda: work(out))))
        else:
            pid = forked(lambda out=out, log=log: logged(log, lambda: work(out)))
            time.sleep(chance.random() * seconds)
            os.kill(pid, signal.SIGKILL)
        strikes[finished(pid)] += 1
        read_everything(out)
        assert finished(forked(lambda out=out, log=log: logged(log, lambda: work(out)))) == 0
        assert bits(icl.load(out)) == expected
        made = Counter(log.read_text().replace(str(out), "").splitlines())
        assert set(made) == set(parts)
        assert sum(made.values()) <= sum(parts.values()) + 1
        left = [path.name for path in out.rglob(".*")]
        assert not left
    assert strikes[-signal.SIGKILL] >= MOMENTS // 2


@contextlib.contextmanager
def disk(at: Path, kilobytes: int) -> Iterator[None]:
    """A file system of that size at a directory."""
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", at], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", at], check=True)


@pytest.mark.parametrize("what", ["circuit", "sweep"])
def test_a_full_disk_is_told_and_survived(what: str, model: icl.ICLModel, tmp_path: Path):
    work = work_of(what, model)
    assert finished(forked(lambda: work(tmp_path / "whole"))) == 0
    expected = bits(icl.load(tmp_path / "whole"))
    chance = random.Random(1)

    def told(out: Path) -> None:
        with contextlib.suppress(ICLMechError, OSError):
            work(out)

    for n in range(BUDGETS):
        at = tmp_path / f"disk{n}"
        with disk(at, chance.randrange(8, 200) if what == "circuit" else chance.randrange(8, 120)):
            assert finished(forked(lambda at=at: told(at / "run"))) == 0
            read_everything(at / "run")
            subprocess.run(["mount", "-o", "remount,size=64m", at], check=True)
            assert finished(forked(lambda at=at: work(at / "run"))) == 0
            assert bits(icl.load(at / "run")) == expected


def test_a_directory_that_cannot_be_written_is_told_at_the_start(model: icl.ICLModel, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="cannot be written"):
        icl.compare(model, "mini/sentiment", out=tmp_path / "file" / "run", **COMPARE)  # type: ignore[arg-type]
    with pytest.raises(FileError, match="cannot be written"):
        icl.compare(model, "mini/sentiment", out="/proc/run", **COMPARE)  # type: ignore[arg-type]
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)

    def as_nobody() -> None:
        if os.getuid() == 0:
            os.chmod(tmp_path, 0o755)
            os.setuid(65534)
        with pytest.raises(FileError, match=r"cannot be written \(Permission denied\)"):
            icl.compare(model, "mini/sentiment", out=locked / "run", **COMPARE)  # type: ignore[arg-type]

    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    assert finished(forked(as_nobody)) == 0


def test_of_two_writers_one_wins(model: icl.ICLModel, tmp_path: Path):
    for n in range(20 if CAMPAIGN else 2):
        out, told = tmp_path / f"run{n}", tmp_path / f"told{n}"

        def race(out: Path = out, told: Path = told) -> None:
            try:
                counting.COUNT.run(counting.CountRequest(pause=0.5), progress=False, out=out)
            except FileError as error:
                told.write_text(str(error))

        both = [forked(race), forked(race)]
        assert [finished(pid) for pid in both] == [0, 0]
        assert "is being written by" in told.read_text()
        assert "\n" not in told.read_text()
        assert {path.name for path in out.iterdir()} == TRIO
