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

from ._applying import base_hash
from ._learner import Learner, Rule, check_step, learning
from ._losses import cross_entropy
from ._parameter_layout import ParameterLayout
from ._samples import Loss, Sample, Source, check_rates, digest_of, loss_name, samples_of
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


def run(model: ICLModel, source: Source, training: Training, step: TakeStep) -> WeightUpdate | list[WeightUpdate]:
    """One update for every learning rate, each from the same weights; a single rate gives a single update."""
    rates = check_rates(training.lr)
    if training.batch not in ("one", "full"):
        raise UpdateError(
            f"got batch={training.batch!r}; expected 'one' (a step per demonstration) or 'full' (one step on all)."
        )
    if training.epochs < 1:
        raise UpdateError(f"got epochs={training.epochs}; expected at least 1.")
    model.require_raw()
    samples = samples_of(model, source, training.loss)
    training = replace(training, loss=loss_name(source, training.loss))
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
        twin = _twin(model, samples, parameters, training, step)
        if twin is not None:
            trained = _train_plain(model, twin, samples, parameters, training, rates)
        else:
            trained = [_train(model, samples, parameters, training, rate, step) for rate in rates]
        updates = [
            WeightUpdate(deltas, layout, model_hash, _meta(model, samples, training, rate, losses))
            for rate, (deltas, losses) in zip(rates, trained, strict=True)
        ]
        return updates if isinstance(training.lr, Sequence) else updates[0]


Trained = tuple[dict[str, Tensor], list[Losses]]
"""ΔW on the CPU, and the losses before every step."""


def _train(
    model: ICLModel, samples: list[Sample], parameters: list[Parameter], training: Training, lr: float, step: TakeStep
) -> Trained:
    groups = _groups(samples, training)
    losses: list[Losses] = []
    with learning(model, parameters, training.rule) as learner:
        for number, group in enumerate(track(groups, f"{training.method}, lr {lr:g}", enabled=training.progress)):
            now = Step(number, len(groups), lr)
            losses.append(step(learner, group, now))
            check_step(learner, now)
        deltas = {name: delta.detach().to("cpu", copy=True) for name, delta in learner.deltas.items()}
    return deltas, losses


def _groups(samples: list[Sample], training: Training) -> list[list[Sample]]:
    return ([samples] if training.batch == "full" else [[sample] for sample in samples]) * training.epochs


def _twin(
    model: ICLModel, samples: list[Sample], parameters: list[Parameter], training: Training, step: TakeStep
) -> Twin | None:
    """The twin to train in place of the model, if nothing forbids it and two steps of both once gave the same."""
    plain = training.plain
    twin = plain_twin(model, parameters, max(len(sample) for sample in samples)) if plain else None
    if twin is None:
        return None
    for way, some in _by_way(samples, plain).items():
        if verdict(twin, way, partial(_try_twin, model, twin, some, parameters, training, step)):
            return None
    return twin


def _try_twin(
    model: ICLModel,
    twin: Twin,
    samples: list[Sample],
    parameters: list[Parameter],
    training: Training,
    step: TakeStep,
) -> str:
    """What differs between two steps of the model and two of the twin."""
    some, once = (
        [_probe(sample) for sample in (samples * 2)[:2]],
        replace(training, epochs=1, batch="one", progress=False),
    )
    theirs, _ = _train(model, some, parameters, once, 0.01, step)
    ((mine, _),) = _train_plain(model, twin, some, parameters, once, [0.01])
    whole = float(torch.stack([delta.norm() for delta in theirs.values()]).norm())
    for name, delta in theirs.items():  # whole matrices, since single weights may be rounding alone
        if not (mine[name] - delta).norm() <= tolerance(model.dtype) * (10 * delta.norm() + 0.1 * whole):
            return f"the weight change of {name}"
    return ""


def _probe(sample: Sample) -> Sample:
    """The sample with a loss that cannot fail: what a loss of the user's does is no verdict on the twin."""
    return sample if sample.loss is None else replace(sample, loss=cross_entropy([0] * len(sample.positions)))


def _by_way(samples: list[Sample], plain: PlainWay | None) -> dict[str, list[Sample]]:
    """Samples by the way that they take through the twin; each way is tried once."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        way = f"{plain}, few {PlainRun.few(sample)}, {'embeddings' if sample.embedded else 'ids'}"
        found.setdefault(way, []).append(sample)
    return found


def _train_plain(
    model: ICLModel,
    twin: Twin,
    samples: list[Sample],
    parameters: list[Parameter],
    training: Training,
    rates: list[float],
) -> list[Trained]:
    """All rates together, as many at a time as fit."""
    groups, trained = _groups(samples, training), []
    at_once = PlainRun.rates_at_once(samples)
    for start in range(0, len(rates), at_once):
        some = rates[start : start + at_once]
        with learning(model, []):
            together = PlainRun(model, twin, parameters, some, training.plain or "batched")
            for number, group in enumerate(
                track(groups, f"{training.method}, lr {some[0]:g}", enabled=training.progress)
            ):
                steps = [Step(number, len(groups), rate) for rate in some]
                together.step(group, steps)
        trained += together.results()
    return trained


def _meta(
    model: ICLModel, samples: list[Sample], training: Training, lr: float, losses: list[Losses]
) -> dict[str, Any]:
    return {
        "method": training.method,
        "lr": lr,
        "loss": training.loss,
        "parameters": training.parameters if isinstance(training.parameters, str) else "selector",
        "batch": training.batch,
        "epochs": training.epochs,
        **training.options,
        "k": len(samples),
        "losses": losses,
        "demonstrations": digest_of(samples),
        **made_on(model),
    }
