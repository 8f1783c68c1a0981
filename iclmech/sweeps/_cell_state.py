"""How a cell stands, told by the files in its directory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from iclmech._base import RESULT, FileError, atomic_write, is_claimed, to_ascii_json
from iclmech._base._result_file import FINISHED

from ._plan import read_json

ATTEMPTS = 3
"""So often a cell is begun whose process dies of it."""
_STATE = "state.json"


@dataclass(frozen=True)
class CellState:
    """What is known of a cell besides its result.

    Attributes:
        attempts: how often it was begun since its last success or failure.
        seconds: of the attempt that finished it.
        error: one line; why it failed.
    """

    attempts: int = 0
    seconds: float | None = None
    error: str = ""


def directory_of(sweep: Path, address: str) -> Path:
    """The directory of a cell, as `Experiment.run(out=…)` keeps it."""
    return sweep / "cells" / address


def read_state(cell: Path) -> CellState:
    """What stands in a cell's directory; nothing where there is none or it is damaged."""
    try:
        found = read_json(cell / _STATE)
        return CellState(int(found["attempts"]), found["seconds"], str(found["error"]))
    except (FileError, KeyError, TypeError, ValueError):
        return CellState()


def write_state(cell: Path, **changed: object) -> None:
    """Change some of it."""
    with atomic_write(cell / _STATE) as temporary:
        temporary.write_text(to_ascii_json(asdict(replace(read_state(cell), **changed))))  # type: ignore[arg-type]  # its fields


def is_done(cell: Path) -> bool:
    """Whether its result stands."""
    return (cell / RESULT).is_file() or (cell / FINISHED / RESULT).is_file()


def failure(cell: Path) -> str:
    """Why a cell failed, in one line; empty where it has not."""
    state = read_state(cell)
    if not state.error and state.attempts >= ATTEMPTS:
        return f"its process died {state.attempts} times (killed, out of memory, or at its time limit)"
    return state.error


def state_of(cell: Path) -> Literal["done", "running", "failed", "waiting"]:
    """Done, running, failed or waiting."""
    if is_done(cell):
        return "done"
    if is_claimed(cell):
        return "running"
    return "failed" if failure(cell) else "waiting"
