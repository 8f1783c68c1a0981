"""The directory of a run: one owner, files together or not at all, temporaries of the dead cleared; parts with all their bits."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iclmech._base import BusyError, Cells, FileError, atomic_write, claimed, is_claimed, owner_of, publish
from iclmech._base._run_directory import publish_rest
from iclmech._base._temporaries import clear_temporaries, temporary_beside


def test_a_directory_has_one_owner(tmp_path: Path):
    with claimed(tmp_path / "run") as directory:
        assert is_claimed(directory)
        assert owner_of(directory).startswith(f"process {os.getpid()} on ")
        with pytest.raises(BusyError, match=f"is being written by process {os.getpid()}"), claimed(directory):
            pass
        assert is_claimed(directory)
        (directory / "kept").write_text("x")
    assert not is_claimed(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kept"]
    with claimed(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


def test_a_lock_ends_with_its_process(tmp_path: Path):
    pid = os.fork()
    if not pid:
        with claimed(tmp_path):
            os._exit(0)
    os.waitpid(pid, 0)
    assert (tmp_path / ".lock").exists()
    with claimed(tmp_path):
        pass


def dead() -> int:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_temporaries_of_the_dead_are_cleared_and_others_stay(tmp_path: Path):
    mine = temporary_beside(tmp_path / "x")
    theirs = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{dead()}-")
    elsewhere = tmp_path / ".x.other_1-1-00000000.tmp"
    for path in (mine, theirs, elsewhere, tmp_path / ".hidden.tmp"):
        path.write_text("")
    (tmp_path / theirs.name.replace(".x.", ".y.")).mkdir()
    assert clear_temporaries(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, elsewhere.name, ".hidden.tmp"}
    with claimed(tmp_path):
        assert not elsewhere.exists()
        assert mine.exists()


def stops_half_way(path: Path) -> None:
    path.write_text("half")
    raise LookupError


def test_a_file_is_whole_and_has_the_mode_of_a_new_file(tmp_path: Path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "ours") as temporary:
        temporary.write_text("whole")
    with pytest.raises(LookupError), atomic_write(tmp_path / "ours") as temporary:
        stops_half_way(temporary)
    assert (tmp_path / "ours").read_text() == "whole"
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")}
    assert len(modes) == 1
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(tmp_path / ("n" * 250)) as temporary:
        temporary.write_text("a name of any length")


def test_files_appear_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def files(text: str) -> dict[str, Any]:
        return {name: lambda path: path.write_text(text) for name in ("result.nc", "table", "request")}

    def standing() -> set[str]:
        return {f"{path.name} {path.read_text()}" for path in tmp_path.iterdir() if path.is_file()}

    def fails(path: Path) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        publish(tmp_path, {**files("new"), "request": fails})
    assert standing() == set()
    publish(tmp_path, files("old"))
    replace, moved = Path.replace, []

    def dies(self: Path, target: Path) -> Any:
        moved.append(target)
        if len(moved) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, files("new"))
    monkeypatch.undo()
    assert (tmp_path / ".finished" / "result.nc").read_text() == "new"  # the last to move: readers look here first
    publish_rest(tmp_path)
    assert standing() == {"result.nc new", "table new", "request new"}
    assert not (tmp_path / ".finished").exists()


def test_parts_come_back_with_all_their_bits(tmp_path: Path):
    value = {
        ("gd", "trained", 0, None): np.array([1.5, np.nan, -0.0], np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalars": (np.float32(0.1), np.float64(0.1), np.int8(-3), 0.1, 7, True, None, "ä\x00"),
        "empty": [{}, [], (), np.zeros((0, 2))],
        "texts": np.array([["a"], [None]], dtype=object),
        "tensor": torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        "zero-dimensional": np.array(2.5),
    }
    cells = Cells(tmp_path / "cells")
    made = cells.once("group / a", lambda: value)
    read = cells.once("group / a", lambda: pytest.fail("it is kept"))
    for one in (made, read, Cells().once("a", lambda: value)):
        assert repr(one) == repr({**value, "fortran": np.ascontiguousarray(value["fortran"])})
        assert one["fortran"].flags["C_CONTIGUOUS"]
        assert type(one["scalars"][0]) is np.float32
    with pytest.raises(TypeError, match="got object in a cell"):
        cells.once("b", lambda: [object()])


def test_a_damaged_part_is_made_again_and_smaller_parts_go_with_the_whole(tmp_path: Path):
    cells = Cells(tmp_path)
    cells.once("whole / a", lambda: 1)
    (part,) = tmp_path.rglob("*.safetensors")
    part.write_bytes(part.read_bytes()[:-1][:20])
    assert cells.once("whole / a", lambda: 2) == 2
    assert cells.once("whole", lambda: cells.once("whole / a", lambda: 3), parts="whole") == 2
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


def test_what_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot be written \(Not a directory\)"), claimed(tmp_path / "file" / "run"):
        pass
