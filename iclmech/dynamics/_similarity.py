"""`similarity_over_training`: when does in-context learning begin to look like gradient descent? Snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from iclmech._base import Cells, Claim, Result, load_result, provenance, track
from iclmech.experiments import ExperimentError, Given, seeds_asked

from ._history import StackHistory, interval
from ._likeness_claims import likeness_claims
from ._snapshot_requests import SIMILARITY, SimilarityRequest
from ._transitions import half_rise

if TYPE_CHECKING:
    import pandas as pd

    from iclmech.experiments import Comparison
    from iclmech.models import ICLModel
    from iclmech.tasks import Task

Source = StackHistory | Mapping[int, Any] | str
CONTROLS = ("random_direction", "matched_update")
MINI, MINI_TASK = "icl-mini", "mini/topic-symbols"


class SimilarityOverTraining(Result):
    """What context and update do to attention outputs, compared at every snapshot.

    `data`, each with `_ci` (..., bound), the two-way interval over demonstration sets and queries of one snapshot: sim_aou
    and sim_am (run, step, comparison), the updates and their controls; above_control (run, step, update), SimAOU less that of
    a random change of the same effect at every layer; label_specific (run, step, update), what the right labels add, null 0;
    accuracy (run, step, setting); gain (run, step), accuracy in context less zero-shot.
    """

    kind = "similarity-over-training"

    @property
    def updates(self) -> list[str]:
        """Names of the updates."""
        return [str(u) for u in self.data["update"].values]

    def at(self, name: str, step: int = -1, **where: Any) -> tuple[float, float, float]:
        """Mean over runs and its interval at a snapshot, the last by default (`step` counts snapshots).

        Three runs or more: a bootstrap over runs. Fewer: the two-way interval of the first.
        """
        chosen = {k: v for k, v in where.items() if k in self.data[name].dims}
        values = self.data[name].sel(chosen).isel(step=step).values
        low, high = self.data[f"{name}_ci"].sel(chosen).isel(step=step, run=0).values
        if len(values) > 2:
            low, high = interval(values)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan"), float(low), float(high)

    def half_rises(self) -> pd.DataFrame:
        """Steps at which curves had risen half-way from first to highest. Columns: `run`, `accuracy`, `<update>` (SimAOU above
        its control), `<update> labels`; NaN for a curve that ends no higher than it began."""
        import pandas as pd

        steps = self.data["step"].values

        def of(curve: np.ndarray) -> float:
            known = np.isfinite(curve)
            rose = known.sum() > 1 and curve[known][-1] > curve[known][0]
            return half_rise(steps[known], curve[known]) if rose else float("nan")

        rows = []
        for run in range(self.data.sizes["run"]):
            mine = self.data.isel(run=run)
            row: dict[str, Any] = {"run": run, "accuracy": of(mine["accuracy"].sel(setting="icl").values)}
            for update in self.updates:
                row[update] = of(mine["above_control"].sel(update=update).values)
                row[f"{update} labels"] = of(mine["label_specific"].sel(update=update).values)
            rows.append(row)
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """One row per measure, name and snapshot: `measure`, `name`, `step`, `mean`, `low`, `high`."""
        import pandas as pd

        rows = []
        for measure in (str(n) for n in self.data.data_vars if not str(n).endswith("_ci")):
            (axis,) = [str(d) for d in self.data[measure].dims if d not in ("run", "step")] or [""]
            for name in self.data[axis].values if axis else ("",):
                for place, step in enumerate(self.data["step"].values):
                    mean, low, high = self.at(measure, place, **({axis: name} if axis else {}))
                    numbers = {"mean": mean, "low": low, "high": high}
                    rows.append({"measure": measure, "name": str(name), "step": int(step), **numbers})
        return pd.DataFrame(rows).dropna(subset="mean", ignore_index=True)

    def tables(self) -> dict[str, Any]:
        """Half-rises, then numbers."""
        return {"Steps of half-rise": self.half_rises(), "Summary": self.summary()}

    def judged(self) -> list[Claim]:
        """Likeness at the end, what the labels add to it, whether training made it, and what came first."""
        return likeness_claims(self)

    def answer(self) -> list[str]:
        """The order of half-rises, then the claims."""
        table = self.half_rises().drop(columns="run").median()
        shown = [f"{name} {step:.0f}" if step == step else f"{name} never" for name, step in table.items()]
        return [f"Half-way up, at step: {', '.join(shown)}.", *super().answer()]


def similarity_over_training(
    source: Source = MINI,
    task: Task | str | None = None,
    *,
    steps: Sequence[int] = (),
    runs: int = 3,
    k: int = 8,
    n_queries: int = 32,
    updates: Any = ("gd", "lcgd"),
    seeds: int | Sequence[int] = 5,
    lr: float | str = 0.01,
    label_specific: bool = True,
    out: str | Path | None = None,
    progress: bool = False,
) -> SimilarityOverTraining:
    """Run `compare` on every snapshot of a training, with accuracies and a random change of the same effect beside it.

    Args:
        source: "icl-mini", whose snapshots are shipped; a history with snapshots, or the file of one; or {step: model}.
        task: for models; the nets of a history have their own, in words.
        steps: which snapshots; all by default.
        runs: of a history, how many of its runs.
        k, n_queries, updates, seeds: as in `compare`.
        lr: the same at every snapshot, so that a change of likeness is none of the rate.
        label_specific: measure what the right labels add to the similarity, which takes most of the time.
        out: a directory in which finished snapshots and the result are kept, as in `compare`.
        progress: show a bar on standard error.

    Returns:
        A `SimilarityOverTraining`.

    Raises:
        ExperimentError: a history without snapshots or without BOS, no such step, or models without a task.

    Source: SimAOU is of Dai et al. (arXiv 2212.10559) and Deutch et al. (arXiv 2311.07772), who measure trained models.
    """
    given = Given()
    request = SimilarityRequest(
        source=given.name("source", source), task=given.name("task", task, by="name"),
        steps=tuple(int(s) for s in steps), runs=runs, k=k, n_queries=n_queries,
        updates=given.named("updates", updates, "update"), seeds=seeds_asked(seeds), lr=lr, label_specific=label_specific,
    )  # fmt: skip
    return SIMILARITY.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # of this class


class Point(NamedTuple):
    """One snapshot of one run, and how to get it."""

    run: int
    step: int
    load: Callable[[], tuple[ICLModel, Task | str]]


def run(
    request: SimilarityRequest,
    *,
    progress: bool,
    cells: Cells,
    source: Source | None = None,
    task: Task | None = None,
    updates: Any = None,
) -> SimilarityOverTraining:
    """Compare at every snapshot."""
    points, about = points_of(request, request.source if source is None else source, task)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for point in track(points, "snapshots", enabled=progress):
        name = f"run {point.run} / step {point.step}"
        rows[point.run, point.step] = cells.once(name, lambda p=point: _measured(p, request, updates))
    return SimilarityOverTraining(_dataset(rows), provenance=provenance(**about))


def points_of(request: SimilarityRequest, source: Source, task: Any) -> tuple[list[Point], dict[str, Any]]:
    """The snapshots asked for, and what they are of."""
    if isinstance(source, str) and source != MINI:
        source = load_result(source, StackHistory)  # type: ignore[assignment]  # of this class
    if isinstance(source, StackHistory):
        history, n = source, min(request.runs, source.data.sizes["run"])
        at = _chosen(history.snapshots.steps, request.steps)
        of = lambda run, step: Point(run, step, lambda: (history.snapshot(run, step), history.task(run)))  # noqa: E731
        about = {"task": {"name": history.world.spelled}, "runs": n, "net": history.net.spelled}
        return [of(run, step) for run in range(n) for step in at], about
    models = _mini_snapshots() if isinstance(source, str) else dict(source)
    asked = task or request.task or (MINI_TASK if isinstance(source, str) else None)
    if asked is None:
        raise ExperimentError("got models without a task; expected task=, a task or the name of one.")
    at = _chosen(sorted(models), request.steps)
    of = lambda step: Point(0, step, lambda: (_loaded(models[step]), asked))  # noqa: E731
    name = MINI if isinstance(source, str) else "own models"
    about = {"task": {"name": str(getattr(asked, "name", asked))}, "model": {"name": name}}
    return [of(step) for step in at], about


def _chosen(have: Sequence[int], asked: Sequence[int]) -> list[int]:
    lost = sorted(set(asked) - set(have))
    if lost or not have:
        raise ExperimentError(f"got steps {lost or 'none'}; the snapshots are of steps {list(have) or 'none'}.")
    return sorted(asked) if asked else list(have)


def _mini_snapshots() -> dict[int, str]:
    """icl-mini's snapshots by step, the finished model last."""
    from iclmech.mini import list_mini_models, mini_history

    found = {int(n.rpartition("-")[2]): n for n in list_mini_models() if n.startswith(f"{MINI}@step-")}
    return found | {max(int(row["step"]) for row in mini_history() if row["seed"] == 1): MINI}


def _loaded(model: Any) -> ICLModel:
    from iclmech.models import load_model

    return load_model(model) if isinstance(model, str) else model


def _measured(point: Point, request: SimilarityRequest, updates: Any) -> dict[str, Any]:
    from iclmech.experiments import compare

    model, task = point.load()
    found: Any = compare(
        model, task, request.k, request.n_queries, updates or request.updates, request.seeds, request.lr,
        controls=CONTROLS, label_specific=request.label_specific, n_examples=0, progress=False,
    )  # fmt: skip
    return numbers_of(found, [name.partition("=")[0] for name in request.updates])


def numbers_of(found: Comparison, updates: Sequence[str]) -> dict[str, Any]:
    """What is kept of a comparison: {measure: {name: (mean, low, high)}}."""
    data = found.data

    def one(name: str, **at: str) -> tuple[float, float, float]:
        if name not in data or any(v not in data[k].values for k, v in at.items()):
            return float("nan"), float("nan"), float("nan")
        mean, ends = data[name].sel(at).squeeze(), data[f"{name}_ci"].sel(at).squeeze().values
        return float(mean), float(ends[0]), float(ends[1])

    names = [str(n) for n in data["comparison"].values]
    settings = ["zs", "icl", *(f"ft:{u}" for u in updates)]
    return {
        "sim_aou": {n: one("sim_aou_overall", comparison=n) for n in names},
        "sim_am": {n: one("sim_am_overall", comparison=n) for n in names},
        "above_control": {u: one("sim_aou_contrast", contrast=f"{u} - {u}:matched_update") for u in updates},
        "label_specific": {u: one("sim_aou_labels_mean", comparison=u) for u in updates},
        "accuracy": {s: one("accuracy_overall", setting=s) for s in settings},
        "gain": {"": one("gain", setting="icl", baseline="zs")},
    }


_AXES = {"sim_aou": "comparison", "sim_am": "comparison", "accuracy": "setting", "gain": ""}


def _dataset(rows: Mapping[tuple[int, int], Mapping[str, Any]]) -> xr.Dataset:
    runs, steps = (sorted({key[n] for key in rows}) for n in (0, 1))
    first = next(iter(rows.values()))
    data = xr.Dataset(coords={"run": runs, "step": steps, "bound": ["low", "high"]})
    for measure, named in first.items():
        axis = _AXES.get(measure, "update")
        values = np.array([[list(rows[r, s][measure].values()) for s in steps] for r in runs], dtype=float)
        dims = ("run", "step", axis)
        if axis:
            data.coords[axis] = list(named)
        else:
            dims, values = dims[:2], values[:, :, 0]
        data[measure], data[f"{measure}_ci"] = (dims, values[..., 0]), ((*dims, "bound"), values[..., 1:])
    return data
