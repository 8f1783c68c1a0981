"""From demonstrations to weight updates: one for every learning rate, by the quickest way that was found right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor

from iclmech._base import UpdateError, track
from iclmech.models import ICLModel, Parameter, Selector, Twin

from ._applying import base_hash
from ._learner import Gradients, Learner, Rule, check_step, learning
from ._parameter_layout import ParameterLayout
from ._samples import Loss, Sample, Source, check_rates, digest_of, samples_of
from ._step import Step
from ._twin_training import PlainRun, PlainWay, plain_twin, verdicts
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
    loss: str  # checked by samples_of
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
    parameters = [
        parameter
        for parameter in model.parameters(training.parameters)
        if parameter.layer is not None or not training.blocks_only
    ]
    if not parameters:
        raise UpdateError(
            f"parameters={training.parameters!r} chooses no parameter of {model.name}; nothing could be trained."
        )
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
    longest = max(len(sample.tokens) for sample in samples)
    twin = plain_twin(model, parameters, longest) if training.plain else None
    if twin is None or training.plain is None:
        return None
    known = verdicts.setdefault(twin, {})
    way = f"{training.plain}, few {PlainRun.few(samples[0])}"
    if way not in known:
        some, once = (samples * 2)[:2], replace(training, epochs=1, batch="one", progress=False)
        theirs, _ = _train(model, some, parameters, once, 0.01, step)
        try:
            ((mine, _),) = _train_plain(model, twin, some, parameters, once, [0.01])
            known[way] = _agree(mine, theirs)
        except Exception:  # the hooked model is always there, so whatever fails here only costs time
            known[way] = False
    return twin if known[way] else None


def _agree(mine: Gradients, theirs: Gradients) -> bool:
    whole = float(torch.stack([delta.norm() for delta in theirs.values()]).norm())
    gaps = ((mine[name] - delta).norm() <= 1e-3 * delta.norm() + 1e-5 * whole for name, delta in theirs.items())
    return all(bool(gap) for gap in gaps)


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
