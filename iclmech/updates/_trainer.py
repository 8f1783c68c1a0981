"""Plain SGD on chosen parameters of a model that is left, bit for bit, as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from iclmech._base import UpdateError, track
from iclmech.models import ICLModel, Parameter, Selector, Twin

from ._applying import base_hash
from ._parameter_layout import KINDS, ParameterLayout
from ._restore import finish, write_back
from ._samples import Sample, Source, check_rates, digest_of, samples_of
from ._step import Step as Step
from ._twin_training import PlainRun, PlainWay, plain_twin, verdicts
from ._weight_update import WeightUpdate, made_on

Batch = Literal["one", "full"]
Gradients = dict[str, Tensor]


@dataclass
class Learner:
    """The parameters in training: W = original + ΔW, with ΔW summed up in at least float32.

    The sum is what makes small steps count where weights are bfloat16 or float16: the weights are rounded from it
    afresh after every step and never read back.
    """

    model: ICLModel
    parameters: list[Parameter]
    originals: dict[str, Tensor] = field(default_factory=dict)
    deltas: dict[str, Tensor] = field(default_factory=dict)
    last: Gradients = field(default_factory=dict)  # what the latest step was taken with

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            weight = parameter.tensor.detach()
            self.originals[parameter.name] = weight.clone()
            self.deltas[parameter.name] = torch.zeros_like(
                weight, dtype=torch.promote_types(weight.dtype, torch.float32)
            )

    def of_layer(self, layer: int) -> list[Parameter]:
        """The parameters of one block."""
        return [parameter for parameter in self.parameters if parameter.layer == layer]

    @torch.no_grad()
    def step(self, gradients: Gradients, lr: float) -> None:
        """ΔW ← ΔW − lr · gradient, and the weights follow."""
        self.last = gradients
        for parameter in self.parameters:
            if parameter.name in gradients:
                delta = self.deltas[parameter.name]
                delta.sub_(gradients[parameter.name].to(delta.dtype), alpha=lr)
                if parameter.tensor.dtype == delta.dtype:
                    torch.add(self.originals[parameter.name], delta, out=parameter.tensor.data)
                else:
                    parameter.tensor.copy_(self.originals[parameter.name].to(delta.dtype) + delta)

    def gradients(self, value: Tensor, parameters: list[Parameter]) -> Gradients:
        """Gradients of `value`, whose graph is freed. A key or value projection that it does not depend on is an error."""
        if not parameters:
            return {}
        found = torch.autograd.grad(
            value, [parameter.tensor for parameter in parameters], allow_unused=True
        )  # checked below
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is None and parameter.kind in KINDS:
                raise UpdateError(
                    f"the loss does not depend on {parameter.name}: this is not a parameter that the model uses."
                )
        return {
            parameter.name: gradient
            for parameter, gradient in zip(parameters, found, strict=True)
            if gradient is not None
        }


@contextlib.contextmanager
def learning(model: ICLModel, parameters: list[Parameter]) -> Iterator[Learner]:
    """Only `parameters` require gradients and dropout is off inside; weights, flags and modes are restored on every way out."""
    module: nn.Module = model.hooked
    with torch.inference_mode(False), torch.enable_grad():
        learner = Learner(model, parameters)
        yield from _with_state_kept(module, parameters, learner)


def _with_state_kept(module: nn.Module, parameters: list[Parameter], learner: Learner) -> Iterator[Learner]:
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    flags += [(parameter.tensor, parameter.tensor.requires_grad) for parameter in parameters]
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        for parameter in parameters:
            parameter.tensor.requires_grad_(True)
        yield learner
    finally:

        def restore() -> None:
            write_back([(parameter.tensor, learner.originals[parameter.name]) for parameter in parameters])
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            for part, mode in modes:
                part.training = mode

        finish(restore)


def check_step(learner: Learner, now: Step) -> None:
    """Raise `UpdateError` for the first gradient, or sum of steps, that is not finite after a step."""
    if bool(torch.stack([delta.sum() for delta in learner.deltas.values()]).isfinite().all()):
        learner.last = {}
        return  # a sum of finite numbers may overflow, so a bad one only says: look closer
    for what, values in (("gradient of", learner.last), ("sum of steps in", learner.deltas)):
        for parameter in learner.parameters:
            if parameter.name in values and not bool(values[parameter.name].isfinite().all()):
                raise now.error(what, parameter)


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
    with learning(model, parameters) as learner:
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
