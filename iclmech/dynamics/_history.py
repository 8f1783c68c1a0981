"""The history of a training: numbers by run and step, and its snapshots as models."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from iclmech._base import Result
from iclmech.analysis.statistics import bootstrap_means, percentile_interval
from iclmech.experiments import ExperimentError

from ._net_shape import Net, net_of
from ._snapshots import Snapshots, export_run, net_from
from ._transitions import transitions_of
from ._world import World, world_of

if TYPE_CHECKING:
    import pandas as pd

    from iclmech.models import ICLModel
    from iclmech.tasks import Task

DRAWS, EXEMPLARS = 4, 24
"""Sets of classes that are words of a snapshot, and words for each class."""


class StackHistory(Result):
    """What was measured of every run of a stack, step by step, and the snapshots.

    `data`: loss, accuracy (run, step, test_set); train_loss (run, loss_step); attention (run, step, layer, head, measure)
    and label_mass (run, step) on the test set that shows learning in context; chance (guess), uniform (measure); runs
    carry seed, and condition where there are several.
    """

    _snapshots: Snapshots | None = None
    _world: World | None = None

    @property
    def world(self) -> World:
        """The world of the runs."""
        if self._world is None:
            self._world = world_of(self.provenance["worlds"][0])
        return self._world

    @property
    def net(self) -> Net:
        """The shape of the nets."""
        return net_of(self.provenance["net"], Net())

    @property
    def ability(self) -> str:
        """The test set that shows learning in context."""
        return str(self.provenance["ability"])

    @property
    def snapshots(self) -> Snapshots:
        """Weights of the stack by step: in memory, where the runs were kept, or beside the file that this was loaded from."""
        if self._snapshots is None:
            self._snapshots = Snapshots(None if self.source is None else _beside(self.source))
        return self._snapshots

    def keep(self, snapshots: Snapshots, world: World) -> StackHistory:
        """This history with its snapshots and its world at hand."""
        self._snapshots, self._world = snapshots, world
        return self

    def save(self, path: str | Path) -> Path:
        """Write one netCDF file, and the snapshots into a directory of its name beside it."""
        snapshots = self.snapshots
        written = super().save(path)
        if snapshots.steps:
            snapshots.write(_beside(written))
        return written

    # -- runs and steps -------------------------------------------------------------------------------------------

    def transitions(self) -> pd.DataFrame:
        """When each run changed. One row per run, steps between evaluations by straight lines, NaN for what never came.

        Columns: `run`, `seed`, `condition` where there are several; `*_half`, the step of half-rise of attention (of the
        head that ends highest) and of the probability on labels of the context; `plateau`, mean accuracy from then until the
        run `leaves` (guessing among the context's labels + .1), and `plateau_steps`; `rise_steps`, from there to .7;
        `accuracy_half`; `final`, mean of the last three evaluations.
        """
        return transitions_of(self.data, self.ability)

    def summary(self) -> pd.DataFrame:
        """Transitions over runs: `measure`, (`condition`), `mean`, `low`, `high` (95 %, a bootstrap over seeds), `runs`."""
        import pandas as pd

        table = self.transitions()
        names = [c for c in table.columns if c not in ("run", "seed", "condition")]
        groups = table.groupby("condition", sort=False) if "condition" in table else [("", table)]
        rows = []
        for condition, part in groups:
            for name in names:
                values = part[name].to_numpy(dtype=float)
                values = values[~np.isnan(values)]
                low, high = interval(values)
                mean = float(values.mean()) if values.size else float("nan")
                own = {"condition": condition} if condition else {}
                rows.append({"measure": name, **own, "mean": mean, "low": low, "high": high, "runs": len(values)})
        return pd.DataFrame(rows)

    def tables(self) -> dict[str, Any]:
        """What a terminal shows: every run, then means."""
        return {"Runs": self.transitions(), "Summary": self.summary()}

    def export(self, run: int, step: int, directory: str | Path) -> Path:
        """Write one net at one step as a Hugging Face directory: BOS, labels y0 …, items x0 … of a world not trained on.

        Raises:
            FileError: no snapshot of this step.
            ExperimentError: no such run.
        """
        weights = self.snapshots.weights(int(step))
        runs = self.data.sizes["run"]
        if not 0 <= run < runs:
            raise ExperimentError(f"got run {run}; this history has runs 0 to {runs - 1}.")
        module = net_from(weights, self.world, self.net, runs)
        seed = int(self.data["seed"].values[run])
        items = torch.cat([self.world.words(seed, EXEMPLARS, draw)[0] for draw in range(DRAWS)])
        return export_run(module, run, directory, items)

    def snapshot(self, run: int = 0, step: int | None = None) -> ICLModel:
        """One net at one step, as a model that every analysis takes; `task(run)` gives it something to do.

        Args:
            run: number of the run.
            step: of a snapshot; the last one by default.

        Raises:
            FileError: no snapshot of this step.
            ExperimentError: no such run.
        """
        from iclmech.models import load_model

        step = self.snapshots.steps[-1] if step is None and self.snapshots.steps else int(step or 0)
        with tempfile.TemporaryDirectory(prefix="snapshot-") as scratch:
            model = load_model(str(self.export(run, step, scratch)))
        model.name = f"{self.world.name}, seed {int(self.data['seed'].values[run])}, step {step}"
        return model

    def task(self, run: int = 0, draw: int = 0) -> Task:
        """Items of classes that the run was not trained on, as a task in the words of its snapshots.

        Args:
            run: number of the run.
            draw: which set of classes and labels, 0 to 3: some are harder than others, so read more than one.

        Raises:
            ExperimentError: no such draw; or the nets were trained without BOS, which the analyses put in front of every prompt.
        """
        from iclmech.tasks import Task

        if not self.net.bos:
            raise ExperimentError(
                f"the nets of {self.world.spelled} were trained without BOS, which prompts have in front. Train with "
                f"net=dataclasses.replace(world.net, bos=True)."
            )
        if not 0 <= draw < DRAWS:
            raise ExperimentError(f"got draw={draw}; the words of a snapshot are of {DRAWS} sets, numbered from 0.")
        seed = int(self.data["seed"].values[run])
        items, labels = self.world.words(seed, EXEMPLARS, draw)
        first = draw * len(labels) * items.shape[1]
        rows = [{"text": f"x{first + n}", "label": n // EXEMPLARS} for n in range(len(labels) * EXEMPLARS)]
        return Task.from_records(
            rows[::2], rows[1::2], "{text}", label_words=[f"y{label}" for label in labels], separator="",
            name=f"{self.world.name} in words, seed {seed}, draw {draw}",
        )  # fmt: skip


def interval(values: np.ndarray) -> tuple[float, float]:
    """A 95 % percentile interval of the mean, runs drawn again; NaN for fewer than two."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    low, high = percentile_interval(bootstrap_means(values[:, None]))
    return float(low), float(high)


def _beside(path: Path) -> Path:
    return path.with_suffix(".snapshots")
