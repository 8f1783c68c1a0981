"""From demonstrations to weight updates: one for every learning rate, by the quickest way that was found right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor

from iclmech._base import UpdateError, track
from iclmech.models import ICLModel, Parameter, Selector, Twin
from iclmech.models._verified import tolerance, verdict
from iclmech.tasks import PromptSet

from ._applying import base_hash
from ._learner import Learner, Rule, check_step, learning
from ._losses import cross_entropy
from ._parameter_layout import ParameterLayout
from ._samples import Loss, Sample, Source, batches_of, check_rates, digest_of, loss_name, samples_of
from ._side_by_side import SideBySide, alike
from ._step import Step
from ._twin_training import PlainRun, PlainWay, plain_twin
from ._weight_update import WeightUpdate, made_on

Batch = Literal["one", "full"]


class Options(TypedDict, total=False):
    """The keyword arguments that every update method takes, besides `lr`; see `gradient_descent`."""

    loss: Loss
    parameters: Selector
    batch: Batch
    epochs: int
    progress: bool


Losses = float | list[float]  # of one step; layer by layer where layers have losses of their own
TakeStep = Callable[[Learner, list[Sample], Step], Losses]
"""Takes the samples of one step, changes the weights through the learner, returns the losses before the change."""


@dataclass(frozen=True)
class Training:
    """What `run` needs besides the model and the demonstrations."""

    method: str
    lr: float | Sequence[float]
    loss: str  # checked by samples_of; "own" where samples bring it
    parameters: Selector
    batch: str  # checked by run
    epochs: int
    progress: bool
    blocks_only: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    plain: PlainWay | None = None  # how the same is done without hooks
    rule: Rule | None = None  # how gradients become steps, where they are not the steps themselves


def run(
    model: ICLModel, source: Source | Sequence[PromptSet], training: Training, step: TakeStep
) -> WeightUpdate | list[WeightUpdate]:
    """One update for every learning rate or source, each from the same weights; a single one of both gives a single update."""
    rates, sources = check_rates(training.lr), several(source)
    if sources and isinstance(training.lr, Sequence):
        raise UpdateError(
            f"got {len(sources)} prompt sets and {len(rates)} learning rates; expected several of one only."
        )
    if training.batch not in ("one", "full"):
        raise UpdateError(
            f"got batch={training.batch!r}; expected 'one' (a step per demonstration) or 'full' (one step on all)."
        )
    if training.epochs < 1:
        raise UpdateError(f"got epochs={training.epochs}; expected at least 1.")
    model.require_raw()
    each = [samples_of(model, own, training.loss) for own in sources or [source]]  # type: ignore[list-item]  # not several: one
    rows = [Row(samples, rate) for samples in each for rate in rates]
    training = replace(training, loss=training.loss if sources else loss_name(source, training.loss))  # type: ignore[arg-type]
    parameters = [
        parameter
        for parameter in model.parameters(training.parameters)
        if parameter.layer is not None or not training.blocks_only
    ]
    if not parameters:
        raise UpdateError(
            f"parameters={training.parameters!r} chooses no parameter of {model.name}; nothing could be trained."
        )
    with model.reading():
        model_hash = base_hash(model)
        layout = {parameter.name: ParameterLayout.of(parameter) for parameter in parameters}
        twin = _twin(model, rows, parameters, training, step)
        if twin is not None:
            trained = _train_plain(model, twin, rows, parameters, training)
        else:
            trained = [_train(model, row, parameters, training, step) for row in rows]
        updates = [
            WeightUpdate(deltas, layout, model_hash, _meta(model, row, training, losses))
            for row, (deltas, losses) in zip(rows, trained, strict=True)
        ]
        return updates if sources or isinstance(training.lr, Sequence) else updates[0]


def several(source: Any) -> list[PromptSet]:
    """The prompt sets, if the source is a list of them; else an empty list."""
    many = isinstance(source, Sequence) and not isinstance(source, PromptSet) and len(source) > 0
    return list(source) if many and all(isinstance(one, PromptSet) for one in source) else []


@dataclass(frozen=True)
class Row:
    """What one update is made of."""

    samples: list[Sample]
    lr: float

    def groups(self, training: Training) -> list[list[Sample]]:
        """The samples of every step."""
        once = [self.samples] if training.batch == "full" else [[sample] for sample in self.samples]
        return once * training.epochs


Trained = tuple[dict[str, Tensor], list[Losses]]
"""ΔW on the CPU, and the losses before every step."""


def _train(model: ICLModel, row: Row, parameters: list[Parameter], training: Training, step: TakeStep) -> Trained:
    groups = row.groups(training)
    losses: list[Losses] = []
    with learning(model, parameters, training.rule) as learner:
        for number, group in enumerate(track(groups, f"{training.method}, lr {row.lr:g}", enabled=training.progress)):
            now = Step(number, len(groups), row.lr)
            losses.append(step(learner, group, now))
            check_step(learner, now)
        deltas = {name: delta.detach().to("cpu", copy=True) for name, delta in learner.deltas.items()}
    return deltas, losses


def _twin(
    model: ICLModel, rows: list[Row], parameters: list[Parameter], training: Training, step: TakeStep
) -> Twin | None:
    """The twin to train in place of the model, if nothing forbids it and two steps of both once gave the same."""
    plain = training.plain
    samples = rows[0].samples
    if training.batch == "full" and len(batches_of(samples)) < len(samples):
        return None  # one batch through the model is quicker than a sample at a time through its twin
    twin = plain_twin(model, parameters, max(len(s) for row in rows for s in row.samples)) if plain else None
    if twin is None:
        return None
    for way, some in _by_way(rows, plain).items():
        if verdict(twin, way, partial(_try_twin, model, twin, some, parameters, training, step)):
            return None
    return twin


def _try_twin(
    model: ICLModel, twin: Twin, rows: list[Row], parameters: list[Parameter], training: Training, step: TakeStep
) -> str:
    """What differs between two steps of the model and two of the twin."""
    some = [Row([_probe(sample) for sample in (row.samples * 2)[:2]], 0.01) for row in rows]
    once = replace(training, epochs=1, batch="one", progress=False)
    for row, (mine, _) in zip(some, _train_plain(model, twin, some, parameters, once), strict=True):
        theirs, _ = _train(model, row, parameters, once, step)
        whole = float(torch.stack([delta.norm() for delta in theirs.values()]).norm())
        for name, delta in theirs.items():  # whole matrices, since single weights may be rounding alone
            if not (mine[name] - delta).norm() <= tolerance(model.dtype) * (10 * delta.norm() + 0.1 * whole):
                return f"the weight change of {name}"
    return ""


def _probe(sample: Sample) -> Sample:
    """The sample with a loss that cannot fail: what a loss of the user's does is no verdict on the twin."""
    return sample if sample.loss is None else replace(sample, loss=cross_entropy([0] * len(sample.positions)))


def _by_way(rows: list[Row], plain: PlainWay | None) -> dict[str, list[Row]]:
    """Rows of few samples by the way that they take through the twin; each way is tried once."""
    found: dict[str, list[Row]] = {}
    first = rows[0]
    for row in rows:
        for sample in row.samples:
            few = SideBySide.reads_few(len(sample.positions), len(sample))
            way = f"{plain}, few {few}, {'embeddings' if sample.embedded else 'ids'}"
            found.setdefault(way, [Row([], row.lr)])[0].samples.append(sample)
    other = next((row for row in rows if row.samples is not first.samples and _together([first, row])), None)
    if other is not None:
        found[f"{plain}, side by side"] = [first, other]
    return found


def _together(rows: list[Row]) -> bool:
    """Whether rows can be trained as one batch."""
    columns = list(zip(*(row.samples for row in rows), strict=False))
    return len({len(row.samples) for row in rows}) == 1 and all(map(alike, columns))


def _train_plain(
    model: ICLModel, twin: Twin, rows: list[Row], parameters: list[Parameter], training: Training
) -> list[Trained]:
    """All rows together, as many at a time as fit."""
    trained: list[Trained] = []
    at_once = PlainRun.rows_at_once([s for row in rows for s in row.samples]) if _together(rows) else 1
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        steps = list(zip(*(row.groups(training) for row in some), strict=True))
        with learning(model, []):
            together = PlainRun(model, twin, parameters, [row.lr for row in some], training.plain or "batched")
            for number, groups in enumerate(
                track(steps, f"{training.method}, lr {some[0].lr:g}", enabled=training.progress)
            ):
                samples = [SideBySide.of(model, column) for column in zip(*groups, strict=True)]
                together.step(samples, [Step(number, len(steps), row.lr) for row in some])
        trained += together.results()
    return trained


def _meta(model: ICLModel, row: Row, training: Training, losses: list[Losses]) -> dict[str, Any]:
    return {
        "method": training.method,
        "lr": row.lr,
        "loss": training.loss,
        "parameters": training.parameters if isinstance(training.parameters, str) else "selector",
        "batch": training.batch,
        "epochs": training.epochs,
        **training.options,
        "k": len(row.samples),
        "losses": losses,
        "demonstrations": digest_of(row.samples),
        **made_on(model),
    }
