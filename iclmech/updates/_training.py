"""Plain SGD on chosen parameters of a model that is left, bit for bit, as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from iclmech._base import UpdateError, provenance, track
from iclmech.models import ICLModel, Leaf, Selector, Twin

from ._applying import base_hash
from ._clock import Clock as Clock
from ._layout import KINDS, layout_of
from ._plain import PlainRun, PlainWay, plain_twin, verdicts
from ._restore import finish, write_back
from ._sequences import Sample, Source, check_rates, digest_of, samples_of
from ._weight_update import WeightUpdate

Batch = Literal["one", "full"]
Gradients = dict[str, Tensor]


@dataclass
class Learner:
    """The parameters in training: W = original + ΔW, with ΔW summed up in at least float32.

    The sum is what makes small steps count where weights are bfloat16 or float16: the weights are rounded from it
    afresh after every step and never read back.
    """

    model: ICLModel
    leaves: list[Leaf]
    originals: dict[str, Tensor] = field(default_factory=dict)
    deltas: dict[str, Tensor] = field(default_factory=dict)
    last: Gradients = field(default_factory=dict)  # what the latest step was taken with

    def __post_init__(self) -> None:
        for leaf in self.leaves:
            weight = leaf.tensor.detach()
            self.originals[leaf.name] = weight.clone()
            self.deltas[leaf.name] = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))

    def of_layer(self, layer: int) -> list[Leaf]:
        """The parameters of one block."""
        return [leaf for leaf in self.leaves if leaf.layer == layer]

    @torch.no_grad()
    def step(self, gradients: Gradients, lr: float) -> None:
        """ΔW ← ΔW − lr · gradient, and the weights follow."""
        self.last = gradients
        for leaf in self.leaves:
            if leaf.name in gradients:
                delta = self.deltas[leaf.name]
                delta.sub_(gradients[leaf.name].to(delta.dtype), alpha=lr)
                if leaf.tensor.dtype == delta.dtype:
                    torch.add(self.originals[leaf.name], delta, out=leaf.tensor.data)
                else:
                    leaf.tensor.copy_(self.originals[leaf.name].to(delta.dtype) + delta)

    def gradients(self, value: Tensor, leaves: list[Leaf]) -> Gradients:
        """Gradients of `value`, whose graph is freed. A key or value projection that it does not depend on is an error."""
        if not leaves:
            return {}
        found = torch.autograd.grad(value, [leaf.tensor for leaf in leaves], allow_unused=True)  # checked below
        for leaf, gradient in zip(leaves, found, strict=True):
            if gradient is None and leaf.kind in KINDS:
                raise UpdateError(
                    f"the loss does not depend on {leaf.name}: this is not a parameter that the model uses."
                )
        return {leaf.name: gradient for leaf, gradient in zip(leaves, found, strict=True) if gradient is not None}


@contextlib.contextmanager
def learning(model: ICLModel, leaves: list[Leaf]) -> Iterator[Learner]:
    """Only `leaves` require gradients and dropout is off inside; weights, flags and modes are restored on every way out."""
    module: nn.Module = model.hooked
    with torch.inference_mode(False), torch.enable_grad():
        learner = Learner(model, leaves)
        yield from _with_state_kept(module, leaves, learner)


def _with_state_kept(module: nn.Module, leaves: list[Leaf], learner: Learner) -> Iterator[Learner]:
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    flags += [(leaf.tensor, leaf.tensor.requires_grad) for leaf in leaves]
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        for leaf in leaves:
            leaf.tensor.requires_grad_(True)
        yield learner
    finally:

        def restore() -> None:
            write_back([(leaf.tensor, learner.originals[leaf.name]) for leaf in leaves])
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            for part, mode in modes:
                part.training = mode

        finish(restore)


def check_step(learner: Learner, clock: Clock) -> None:
    """Raise `UpdateError` for the first gradient, or sum of steps, that is not finite after a step."""
    if bool(torch.stack([delta.sum() for delta in learner.deltas.values()]).isfinite().all()):
        learner.last = {}
        return  # a sum of finite numbers may overflow, so a bad one only says: look closer
    for what, values in (("gradient of", learner.last), ("sum of steps in", learner.deltas)):
        for leaf in learner.leaves:
            if leaf.name in values and not bool(values[leaf.name].isfinite().all()):
                raise clock.error(what, leaf)


Losses = float | list[float]  # of one step; layer by layer where layers have losses of their own
Step = Callable[[Learner, list[Sample], Clock], Losses]
"""Takes the samples of one step, changes the weights through the learner, returns the losses before the change."""


@dataclass(frozen=True)
class Plan:
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


def run(model: ICLModel, source: Source, plan: Plan, step: Step) -> WeightUpdate | list[WeightUpdate]:
    """One update for every learning rate, each from the same weights; a single rate gives a single update."""
    rates = check_rates(plan.lr)
    if plan.batch not in ("one", "full"):
        raise UpdateError(
            f"got batch={plan.batch!r}; expected 'one' (a step per demonstration) or 'full' (one step on all)."
        )
    if plan.epochs < 1:
        raise UpdateError(f"got epochs={plan.epochs}; expected at least 1.")
    model.require_raw()
    samples = samples_of(model, source, plan.loss)
    leaves = [leaf for leaf in model.leaves(plan.parameters) if leaf.layer is not None or not plan.blocks_only]
    if not leaves:
        raise UpdateError(
            f"parameters={plan.parameters!r} chooses no parameter of {model.name}; nothing could be trained."
        )
    model_hash = base_hash(model)
    layout = {leaf.name: layout_of(leaf) for leaf in leaves}
    twin = _twin(model, samples, leaves, plan, step)
    if twin is not None:
        trained = _train_plain(model, twin, samples, leaves, plan, rates)
    else:
        trained = [_train(model, samples, leaves, plan, rate, step) for rate in rates]
    updates = [
        WeightUpdate(deltas, layout, model_hash, _meta(model, samples, plan, rate, losses))
        for rate, (deltas, losses) in zip(rates, trained, strict=True)
    ]
    return updates if isinstance(plan.lr, Sequence) else updates[0]


Trained = tuple[dict[str, Tensor], list[Losses]]
"""ΔW on the CPU, and the losses before every step."""


def _train(model: ICLModel, samples: list[Sample], leaves: list[Leaf], plan: Plan, lr: float, step: Step) -> Trained:
    groups = _groups(samples, plan)
    losses: list[Losses] = []
    with learning(model, leaves) as learner:
        for number, group in enumerate(track(groups, f"{plan.method}, lr {lr:g}", enabled=plan.progress)):
            clock = Clock(number, len(groups), lr)
            losses.append(step(learner, group, clock))
            check_step(learner, clock)
        deltas = {name: delta.detach().to("cpu", copy=True) for name, delta in learner.deltas.items()}
    return deltas, losses


def _groups(samples: list[Sample], plan: Plan) -> list[list[Sample]]:
    return ([samples] if plan.batch == "full" else [[sample] for sample in samples]) * plan.epochs


def _twin(model: ICLModel, samples: list[Sample], leaves: list[Leaf], plan: Plan, step: Step) -> Twin | None:
    """The twin to train in place of the model, if nothing forbids it and two steps of both once gave the same."""
    longest = max(len(sample.tokens) for sample in samples)
    twin = plain_twin(model, leaves, longest) if plan.plain else None
    if twin is None or plan.plain is None:
        return None
    known = verdicts.setdefault(twin, {})
    way = f"{plan.plain}, few {PlainRun.few(samples[0])}"
    if way not in known:
        some, once = (samples * 2)[:2], replace(plan, epochs=1, batch="one", progress=False)
        theirs, _ = _train(model, some, leaves, once, 0.01, step)
        try:
            ((mine, _),) = _train_plain(model, twin, some, leaves, once, [0.01])
            known[way] = _agree(mine, theirs)
        except Exception:  # the hooked model is always there, so whatever fails here only costs time
            known[way] = False
    return twin if known[way] else None


def _agree(mine: Gradients, theirs: Gradients) -> bool:
    whole = float(torch.stack([delta.norm() for delta in theirs.values()]).norm())
    gaps = ((mine[name] - delta).norm() <= 1e-3 * delta.norm() + 1e-5 * whole for name, delta in theirs.items())
    return all(bool(gap) for gap in gaps)


def _train_plain(
    model: ICLModel, twin: Twin, samples: list[Sample], leaves: list[Leaf], plan: Plan, rates: list[float]
) -> list[Trained]:
    """All rates together, as many at a time as fit."""
    groups, trained = _groups(samples, plan), []
    together = PlainRun.rates_at_once(samples)
    for start in range(0, len(rates), together):
        some = rates[start : start + together]
        with learning(model, []):
            training = PlainRun(model, twin, leaves, some, plan.plain or "batched")
            for number, group in enumerate(track(groups, f"{plan.method}, lr {some[0]:g}", enabled=plan.progress)):
                clocks = [Clock(number, len(groups), rate) for rate in some]
                training.step(group, clocks)
        trained += training.results()
    return trained


def _meta(model: ICLModel, samples: list[Sample], plan: Plan, lr: float, losses: list[Losses]) -> dict[str, Any]:
    return {
        "method": plan.method,
        "lr": lr,
        "loss": plan.loss,
        "parameters": plan.parameters if isinstance(plan.parameters, str) else "selector",
        "batch": plan.batch,
        "epochs": plan.epochs,
        **plan.options,
        "k": len(samples),
        "losses": losses,
        "demonstrations": digest_of(samples),
        "n_layers": model.shape.n_layers,
        "requires": list(model.applied),
        "provenance": provenance(model=model.name, dtype=str(model.dtype), device=str(model.device)),
    }
