"""A sweep that was begun: how far it is, its numbers in one dataset, its figures; finished or not."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from iclmech._base import Claim, FileError, Result, load_result, resolve, to_ascii_json

from ._cell_state import directory_of, failure, is_done, read_state, state_of
from ._dataset import join
from ._plan import Cell, Plan, read_plan

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    import xarray as xr

_REASONS = {"waiting": "not run yet", "running": "running"}


class Sweep(Result):
    """A grid over an experiment's request, in a directory; every look reads what is there now.

    Attributes:
        directory: where it is.
        plan: experiment, axes, cells.
        data: every variable of the experiment over the axes of the sweep, NaN where a cell is missing; `hole` says why it is.
    """

    kind = "sweep"
    page: ClassVar[str] = "iclmech.report.pages.sweep:PAGE"

    def __init__(self, directory: str | Path, plan: Plan | None = None):
        self.directory = Path(directory)
        self.plan = plan or read_plan(self.directory)
        self._read: dict[str, Result] = {}

    @property
    def groups(self) -> dict[str, xr.Dataset]:  # type: ignore[override]  # read from the cells that are done
        """All numbers, as in `data`."""
        return {"": self._joined()}

    @cached_property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]  # of the cells
        """Where the numbers come from: the experiment, the axes, and versions of what ran the first cell."""
        first = next((self.result(cell).provenance for cell in self.plan.cells if self._done(cell)), {})
        axes = {", ".join(axis.fields): [list(at) for at in axis.values] for axis in self.plan.axes}
        versions = {key: first[key] for key in ("versions", "python") if key in first}
        return {"experiment": self.plan.experiment, "axes": axes, "fixed": dict(self.plan.fixed), **versions}

    def result(self, cell: Cell | str) -> Result:
        """The result of a cell, or of its address.

        Raises:
            FileError: it is not done.
        """
        address = cell if isinstance(cell, str) else cell.address
        if address not in self._read:
            self._read[address] = load_result(directory_of(self.directory, address))
        return self._read[address]

    def _done(self, cell: Cell) -> bool:
        return is_done(directory_of(self.directory, cell.address))

    def _joined(self) -> xr.Dataset:
        found: dict[tuple[int, ...], xr.Dataset] = {}
        holes = np.full(self.plan.shape, "", dtype=object)
        for cell in self.plan.cells:
            home = directory_of(self.directory, cell.address)
            if is_done(home):
                try:
                    found[cell.at] = self.result(cell).data
                    continue
                except FileError as error:
                    holes[cell.at] = str(error)
            else:
                state = state_of(home)
                holes[cell.at] = _REASONS.get(state) or failure(home)
        data = join(self.plan.axes, found, holes)
        data.attrs["provenance"] = to_ascii_json(self.provenance)
        return data

    # -- how far it is --------------------------------------------------------------------------------------------

    def status(self) -> pd.DataFrame:
        """One row per cell: `cell` (its values on the axes), `state` (done, running, failed, waiting), `seconds`, `error`.

        The index is the cell's address: the name of its directory below cells/.
        """
        import pandas as pd

        rows, addresses = [], []
        for cell in self.plan.cells:
            home = directory_of(self.directory, cell.address)
            state, kept = state_of(home), read_state(home)
            error = failure(home) if state == "failed" else ""
            rows.append({"cell": cell.name, "state": state, "seconds": kept.seconds, "error": error})
            addresses.append(cell.address)
        table = pd.DataFrame(
            rows, columns=["cell", "state", "seconds", "error"], index=pd.Index(addresses, name="address")
        )
        return table.astype({"seconds": float})

    def counts(self) -> dict[str, int]:
        """State → how many cells."""
        found = [state_of(directory_of(self.directory, cell.address)) for cell in self.plan.cells]
        return {state: found.count(state) for state in ("done", "running", "failed", "waiting")}  # type: ignore[arg-type]

    def cost(self) -> pd.DataFrame:
        """What the cells would take that are not done: `cell`, `state`, `seconds` on this machine, and `about` in words.

        Each is probed by the experiment's own estimate, where it has one, with its model loaded.
        """
        from ._estimate import cost_table

        return cost_table(self)

    # -- what it says ---------------------------------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """The summaries of all cells that are done, one below another, behind their values on the axes."""
        return self._stacked(lambda result: result.summary())

    def claims(self) -> pd.DataFrame:
        """The claims of all cells that are done, behind their values on the axes."""
        return self._stacked(lambda result: result.claims())

    def _stacked(self, table: Any) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for cell in self.plan.cells:
            if self._done(cell):
                frame = table(self.result(cell))
                own = [
                    (f, axis.coordinate(f)[n])
                    for axis, n in zip(self.plan.axes, cell.at, strict=True)
                    for f in axis.fields
                ]
                for place, (name, value) in enumerate(own):
                    frame = frame.drop(columns=name, errors="ignore")
                    frame.insert(place, name, value)
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def judged(self) -> list[Claim]:
        """None of its own: claims are made within cells."""
        return []

    def answer(self) -> list[str]:
        """How far it is, and in how many cells each claim holds."""
        counts = self.counts()
        said = [f"{counts['done']} of {len(self.plan.cells)} cells of {self.plan.experiment} are done."]
        said += [f"{n} {state}." for state, n in counts.items() if n and state != "done"]
        table = self.claims()
        for claim, rows in table.groupby("claim", sort=False) if len(table) else ():
            verdicts = rows["verdict"].value_counts()
            said.append(
                f"{claim}: "
                + ", ".join(f"{verdict} in {n}" for verdict, n in verdicts.items())
                + f" of {len(rows)} cells."
            )
        return said

    def figures(self) -> dict[str, go.Figure]:
        """Every measure over every axis."""
        return dict(resolve("iclmech.figures:sweep_figures")(self))

    @property
    def missing(self) -> str:
        """Nothing is."""
        return ""

    def tables(self) -> dict[str, pd.DataFrame]:
        """The cells."""
        return {"Cells": self.status()}

    def __repr__(self) -> str:
        axes = ", ".join(f"{'+'.join(axis.fields)} {len(axis.values)}" for axis in self.plan.axes)
        done = self.counts()["done"]
        return f"Sweep({self.plan.experiment!r} over {axes}: {done} of {len(self.plan.cells)} cells done, in {self.directory})"


def open_sweep(directory: str | Path) -> Sweep:
    """The sweep in a directory, finished or not."""
    return Sweep(directory)
