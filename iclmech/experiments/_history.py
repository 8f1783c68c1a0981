"""The course of a training run as a result: abilities and scores of heads, by seed and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import FileError, Result, from_ascii_json, provenance

from ._history_request import TRAINING_HISTORY, HistoryRequest

if TYPE_CHECKING:
    import pandas as pd

_CLOCKS = ("phase", "tokens", "cpu_seconds")


class TrainingHistory(Result):
    """What was measured at the checks of training runs.

    `data`: one variable per measure (seed, step), fractions unless named otherwise, NaN where a seed has no such check; and
    phase, tokens (seen), cpu_seconds likewise.

    Example:
        >>> import iclmech as icl
        >>> history = icl.training_history()
        >>> history.data["recall"].dims
        ('seed', 'step')
    """

    kind = "training-history"

    def rows(self) -> list[dict[str, Any]]:
        """The records that a run writes: one per seed and check."""
        table = self.data.to_dataframe().reset_index()
        return [
            {k: (int(v) if k in ("seed", "step", "phase", "tokens") else float(v)) for k, v in row.items() if v == v}
            for row in table.to_dict("records")
            if row["tokens"] == row["tokens"]
        ]

    def answer(self) -> list[str]:
        """What the runs could do when they ended: learning in context, and answering without demonstrations."""
        last = self.summary().groupby("measure")["value"]
        ends = [f"{name.replace('_', ' ')} {low:.2f} to {high:.2f}" for name, low, high in self._ends(last)]
        return [f"At the last check of {self.data.sizes['seed']} runs: {', '.join(ends)}."] if ends else []

    @staticmethod
    def _ends(last: Any) -> list[tuple[str, float, float]]:
        named = ("recall", "in_weights", "prefix_matching", "copy_accuracy")
        return [(name, last.min()[name], last.max()[name]) for name in named if name in last.groups]

    def summary(self) -> pd.DataFrame:
        """One row per measure: its value at the last check of each seed. Columns: `measure`, `seed`, `step`, `value`."""
        import pandas as pd

        rows = []
        for name in (str(n) for n in self.data.data_vars if n not in _CLOCKS):
            for seed in self.data["seed"].values:
                values = self.data[name].sel(seed=seed).dropna("step")
                if values.size:
                    at = int(values["step"].values[-1])
                    rows.append({"measure": name, "seed": int(seed), "step": at, "value": float(values.values[-1])})
        return pd.DataFrame(rows, columns=["measure", "seed", "step", "value"])


def training_history(source: str | Path = "icl-mini") -> TrainingHistory:
    """The recorded course of training of icl-mini, or of a run of one's own.

    Args:
        source: "icl-mini", or a history.json (or its directory) that `train_mini` wrote.

    Raises:
        FileError: no such file.
    """
    return TRAINING_HISTORY.run(HistoryRequest(str(source)), progress=False)  # type: ignore[return-value]


def run_history(request: HistoryRequest, *, progress: bool) -> TrainingHistory:
    """Read the rows and label them."""
    return TrainingHistory(_dataset(_rows(request.source)), provenance=provenance(source=request.source))


def _rows(source: str) -> Sequence[Mapping[str, Any]]:
    if source == "icl-mini":
        from iclmech.mini import mini_history

        return mini_history()
    path = Path(source)
    path = path / "history.json" if path.is_dir() else path
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected 'icl-mini', or the history.json of a run.")
    return from_ascii_json(path.read_text())["rows"]


def _dataset(rows: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    seeds, steps = (sorted({int(row[k]) for row in rows}) for k in ("seed", "step"))
    names = sorted({k for row in rows for k in row} - {"seed", "step"})
    values = {name: np.full((len(seeds), len(steps)), np.nan) for name in names}
    for row in rows:
        at = seeds.index(int(row["seed"])), steps.index(int(row["step"]))
        for name in names:
            if row.get(name) is not None:
                values[name][at] = row[name]
    return xr.Dataset({n: (("seed", "step"), v) for n, v in values.items()}, {"seed": seeds, "step": steps})
