"""A run that was stopped goes on from what it finished, and has the bits of one that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import iclmech as icl
from iclmech import cli
from iclmech._base import FileError, _cells
from iclmech.experiments import ExperimentError


class Stopped(BaseException):
    """Nothing catches this."""


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """`stop_after(n)`: leave the process in the way a signal would, once n more parts are kept."""
    write = _cells.write_safetensors

    def arm(n: int) -> list[int]:
        written: list[int] = []

        def writing(*arguments: Any, **more: Any) -> None:
            write(*arguments, **more)
            written.append(1)
            if len(written) == n:
                raise Stopped

        monkeypatch.setattr(_cells, "write_safetensors", writing)
        return written

    return arm


def bits(result: icl.Result) -> dict[str, Any]:
    return {
        f"{group}/{name}": (v.dims, v.values.tolist() if v.dtype.kind in "OU" else (v.dtype, v.values.tobytes()))
        for group, dataset in result.groups.items()
        for name, v in dataset.variables.items()
    }


COMPARE = {"k": 2, "n_queries": 3, "seeds": 2, "lr": [0.01, 0.03], "updates": ("gd",), "n_examples": 1, "progress": False,
           "controls": ["random_direction", "untrained", "icl:reordered"]}  # fmt: skip
CIRCUIT = {"k": 4, "n_queries": 8, "n_contexts": 2, "seeds": 2, "edges": ["x->s"], "windows": [(0, 1), (2, 3)], "n_held_out": 8,
           "n_boot": 20}  # fmt: skip
ORDER = {"k": 2, "n_queries": 4, "n_orders": 2, "seeds": 3, "updates": ("gd",)}
LONG = [
    ("compare", lambda **more: icl.compare("icl-mini", "mini/sentiment", **COMPARE, **more), (1, 2, 3)),
    ("circuit", lambda **more: icl.inference_circuit("icl-mini", "mini/held-pair", **CIRCUIT, **more), (1, 7, 5)),
    ("order", lambda **more: icl.order_sensitivity("icl-mini", "mini/sentiment", **ORDER, **more), (1, 1)),
]


@pytest.mark.parametrize(("name", "run", "stops"), LONG, ids=[name for name, _, _ in LONG])
def test_a_resumed_result_equals_an_uninterrupted_one(
    name: str, run: Any, stops: tuple[int, ...], tmp_path: Path, stop_after: Any, monkeypatch: pytest.MonkeyPatch
):
    whole = run()
    kept = 0
    for n in stops:
        stop_after(n)
        with pytest.raises(Stopped):
            run(out=tmp_path / "run")
        files = len(list((tmp_path / "run" / "cells").rglob("*.safetensors")))
        assert files > kept or name == "compare"  # where a finished seed takes the place of its parts
        kept = files
        assert not (tmp_path / "run" / "result.nc").exists()
    last = stop_after(10**9)
    resumed = run(out=tmp_path / "run")
    stop_after(10**9)
    read = run(out=tmp_path / "run")
    assert bits(resumed) == bits(whole)
    assert bits(read) == bits(whole)
    assert resumed.provenance == whole.provenance
    monkeypatch.undo()
    again = tmp_path / "again"
    everything = stop_after(10**9)
    run(out=again)
    assert len(last) <= len(everything) - sum(stops) + len(stops)  # finished parts were not made again
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["config.json", "result.nc", "summary.csv"]


def small(**more: Any) -> icl.Result:
    return icl.order_sensitivity("icl-mini", "mini/sentiment", k=2, n_queries=2, n_orders=2, **{"seeds": 2, **more})


def test_another_run_is_not_mixed_in(tmp_path: Path, stop_after: Any):
    stop_after(1)
    with pytest.raises(Stopped):
        small(out=tmp_path)
    with pytest.raises(FileError, match="unfinished run of another request"):
        small(out=tmp_path, seeds=3)
    small(out=tmp_path)
    with pytest.raises(FileError, match="result of another run"):
        small(out=tmp_path, seeds=3)


def test_an_object_that_has_no_hash_cannot_be_resumed(tmp_path: Path):
    closed_over = 0.01

    def own(model: Any, prompts: Any, lr: float) -> Any:
        return icl.gradient_descent(model, prompts, lr=closed_over)

    with pytest.raises(ExperimentError, match=r"iclmech\.register"):
        small(out=tmp_path / "x", updates={"own": own})
    assert not (tmp_path / "x").exists()


def test_an_interrupted_command_says_how_it_goes_on(
    tmp_path: Path, stop_after: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    command = [
        "order",
        "--k",
        "2",
        "--n-queries",
        "2",
        "--n-orders",
        "2",
        "--seeds",
        "1",
        "--quiet",
        "--out",
        str(tmp_path / "o"),
    ]
    monkeypatch.setattr(_cells, "write_safetensors", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 130
    assert "goes on from it" in capsys.readouterr().err
    monkeypatch.undo()
    cli.main(command)
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["config.json", "result.nc", "summary.csv"]
    assert bool(icl.load(tmp_path / "o").data["accuracy"].notnull().all())
