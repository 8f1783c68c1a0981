"""The weights in training: W = original + ΔW, in a model that is left, bit for bit, as it was found.

    gradients ──► rule (with the state of each parameter) ──► direction ──► ΔW ← ΔW − lr · direction ──► W

A `Learner` lives for one learning rate of one call; so do its sums and whatever state a rule keeps in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from iclmech._base import Guard, UpdateError
from iclmech.models import ICLModel, Parameter

from ._parameter_layout import KINDS
from ._restore import write_back
from ._step import Step

Gradients = dict[str, Tensor]
State = dict[str, Tensor]
"""What an optimiser remembers of one parameter between steps; empty before the first."""


@runtime_checkable
class Rule(Protocol):
    """How a gradient becomes a step: an optimiser, without its learning rate."""

    def __call__(self, state: State, gradient: Tensor, weight: Tensor) -> Tensor:
        """The direction of a step, in which ΔW ← ΔW − lr · direction.

        Args:
            state: this parameter's own, to be read and written.
            gradient: in at least float32, shaped like the parameter. Not to be written to.
            weight: W + ΔW before the step, in the same dtype. Not to be written to.
        """
        ...


@dataclass
class Learner:
    """The parameters in training, with ΔW summed up in at least float32; `rule` None is plain gradient descent.

    The sum is what makes small steps count where weights are bfloat16 or float16: the weights are rounded from it
    afresh after every step and never read back.
    """

    model: ICLModel
    parameters: list[Parameter]
    rule: Rule | None = None
    originals: dict[str, Tensor] = field(default_factory=dict)
    deltas: dict[str, Tensor] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    last: Gradients = field(default_factory=dict)  # what the latest step was taken with

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            name, weight = parameter.name, parameter.tensor.detach()
            wide = torch.promote_types(weight.dtype, torch.float32)
            self.originals[name] = weight.clone()
            self.deltas[name] = torch.zeros_like(weight, dtype=wide)
            self.states[name] = {}

    @torch.no_grad()
    def step(self, gradients: Gradients, lr: float) -> None:
        """ΔW ← ΔW − lr · direction for every parameter that has a gradient, and the weights follow."""
        self.last = gradients
        for parameter in self.parameters:
            name = parameter.name
            if name not in gradients:
                continue
            original, delta = self.originals[name], self.deltas[name]
            direction = gradients[name].to(delta.dtype)
            if self.rule is not None:
                direction = self.rule(self.states[name], direction, original.to(delta.dtype) + delta)
            delta.sub_(direction, alpha=lr)
            if parameter.tensor.dtype == delta.dtype:
                torch.add(original, delta, out=parameter.tensor.data)
            else:
                parameter.tensor.copy_(original.to(delta.dtype) + delta)

    def gradients(self, value: Tensor, parameters: list[Parameter]) -> Gradients:
        """Gradients of `value`, whose graph is freed. A key or value projection that it does not depend on is an error."""
        if not parameters:
            return {}
        tensors = [parameter.tensor for parameter in parameters]
        found = torch.autograd.grad(value, tensors, allow_unused=True)  # checked below
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


def add_share(total: Gradients, gradients: Gradients, n_samples: int) -> None:
    """Add one sample's share of the mean gradient over `n_samples` to `total`."""
    for name, gradient in gradients.items():
        share = gradient if n_samples == 1 else gradient / n_samples
        total[name] = total[name] + share if name in total else share


def learning(model: ICLModel, parameters: list[Parameter], rule: Rule | None = None) -> Guard:
    """Only `parameters` require gradients and dropout is off inside; weights, flags and modes are restored on every way out.

    Returns:
        A guard; `with … as learner` binds the `Learner`.
    """

    def change(guard: Guard) -> Learner:
        model.owner.begin_reading(guard)
        _with_gradients(guard)
        learner = Learner(model, parameters, rule)
        everything = [*model.hooked.parameters(), *(parameter.tensor for parameter in parameters)]
        guard.undo(model.backend.forget)
        for tensor in everything:
            guard.undo(partial(tensor.requires_grad_, tensor.requires_grad))
        guard.undo(partial(write_back, [(p.tensor, learner.originals[p.name]) for p in parameters]))
        for tensor in everything:
            tensor.requires_grad_(False)
        for parameter in parameters:
            parameter.tensor.requires_grad_(True)
        return learner

    return Guard(change)


def _with_gradients(guard: Guard) -> None:
    """Neither inference mode nor no_grad, until the guard closes (which restores the grad mode it found)."""
    outside = [torch.inference_mode(False)]

    def leave() -> None:
        while outside:
            outside.pop().__exit__(None, None, None)

    outside[0].__enter__()
    guard.undo(leave)
    torch.set_grad_enabled(True)


def check_step(learner: Learner, now: Step) -> None:
    """Raise `UpdateError` for the first gradient, or sum of steps, that is not finite after a step."""
    if bool(torch.stack([delta.sum() for delta in learner.deltas.values()]).isfinite().all()):
        learner.last = {}
        return  # a sum of finite numbers may overflow, so a bad one only says: look closer
    for what, values in (("gradient of", learner.last), ("sum of steps in", learner.deltas)):
        for parameter in learner.parameters:
            if parameter.name in values and not bool(values[parameter.name].isfinite().all()):
                raise now.error(what, parameter)
