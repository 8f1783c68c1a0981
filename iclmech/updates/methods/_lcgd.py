"""Layer-causal gradient descent: every block learns from a loss read right after it, and sees nothing above."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Literal, Unpack, overload

from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import HookFn, ICLModel, Selector
from iclmech.tasks import PromptSet

from .._learner import Gradients, Learner, add_share, check_step
from .._samples import Loss, Sample, Source, batch_loss, batches_of, rows_of
from .._step import Step
from .._trainer import Batch, Options, Training, run
from .._twin_training import PlainWay
from .._weight_update import WeightUpdate

Order = Literal["simultaneous", "bottom_up"]
Strategy = Literal["batched", "layerwise"]


class LayerCausalOptions(Options, total=False):
    """The keyword arguments of `layer_causal_gd` besides `lr`."""

    order: Order
    strategy: Strategy | None


@overload
def layer_causal_gd(
    model: ICLModel, prompts: Source, *, lr: float, **options: Unpack[LayerCausalOptions]
) -> WeightUpdate: ...
@overload
def layer_causal_gd(
    model: ICLModel, prompts: Source, *, lr: Sequence[float], **options: Unpack[LayerCausalOptions]
) -> list[WeightUpdate]: ...
@overload
def layer_causal_gd(
    model: ICLModel, prompts: Sequence[PromptSet], *, lr: float, **options: Unpack[LayerCausalOptions]
) -> list[WeightUpdate]: ...
def layer_causal_gd(
    model: ICLModel,
    prompts: Source | Sequence[PromptSet],
    *,
    lr: float | Sequence[float],
    loss: Loss = "label",
    order: Order = "simultaneous",
    strategy: Strategy | None = None,
    parameters: Selector = "attn_kv",
    batch: Batch = "one",
    epochs: int = 1,
    progress: bool = False,
) -> WeightUpdate | list[WeightUpdate]:
    """Fine-tune every block on its own readout and return the weight change; the model itself stays as it was.

    The input of every block is detached, so that the weights of layer l depend on nothing above layer l. The loss is
    the sum over layers of the loss of `unembed(ln_final(resid_post[l]))`, with the model's own final norm and
    unembedding, frozen. At equal weights the last layer's gradient is that of `gradient_descent`.

    Args:
        model, prompts, lr, loss, batch, epochs, progress: as in `gradient_descent`.
        parameters: as there, but only parameters inside blocks are trained ("all" parameters embeddings and readout alone).
        order: "simultaneous" takes the gradients of all layers at the same weights (the published method);
            "bottom_up" updates layer l before its output is computed again and handed to layer l+1: another method,
            whose weight change differs by some 20 % in norm.
        strategy: for "simultaneous", the same numbers in two ways. "batched" (the default) keeps the graphs of all
            blocks and unembeds all readouts in one product; "layerwise" takes each block's gradient as soon as its
            readout is known and frees its graph: the memory of one block, one unembedding product per layer.
            "bottom_up", and whatever has to go through the hooked model, is always layerwise; "bottom_up" costs up to
            (L+1)/2 forwards a step.

    Returns:
        As `gradient_descent`; `update.meta["losses"]` holds `[step][layer]`.

    Raises:
        UpdateError: as in `gradient_descent`, and for an unknown order or strategy.
        ModelError: the model is folded or was loaded with processing.

    Source: Deutch et al., arXiv 2311.07772, section 5.
    """
    if order not in ("simultaneous", "bottom_up"):
        raise UpdateError(f"got order={order!r}; expected 'simultaneous' or 'bottom_up'.")
    if strategy not in (None, "batched", "layerwise"):
        raise UpdateError(f"got strategy={strategy!r}; expected 'batched' or 'layerwise'.")
    if order == "bottom_up" and strategy == "batched":
        raise UpdateError("order='bottom_up' goes layer by layer; leave strategy out, or say strategy='layerwise'.")
    options = {"order": order, "strategy": "layerwise" if order == "bottom_up" else strategy or "batched"}
    plain: PlainWay | None = None if order == "bottom_up" else strategy or "batched"
    training = Training("lcgd", lr, loss, parameters, batch, epochs, progress, True, options, plain)
    return run(model, prompts, training, _bottom_up if order == "bottom_up" else _simultaneous)


def _simultaneous(learner: Learner, samples: list[Sample], now: Step) -> list[float]:
    """The gradients of all layers at the same weights, and one step."""
    total: Gradients = {}
    losses: list[list[float]] = []
    batches = batches_of(samples)
    for batch in batches:
        values, gradients = _gradients(learner, batch, now, range(learner.model.shape.n_layers))
        losses.append(values)
        add_share(total, gradients, len(batches))
    learner.step(total, now.lr)
    return _mean(losses)


def _bottom_up(learner: Learner, samples: list[Sample], now: Step) -> list[float]:
    """For each layer from the bottom: gradient at the weights as the layers below left them, and a step."""
    batches = batches_of(samples)
    losses: list[list[float]] = [[] for _ in batches]
    for layer in range(learner.model.shape.n_layers):
        total: Gradients = {}
        for parameter in learner.parameters:
            parameter.tensor.requires_grad_(parameter.layer == layer)
        for values, batch in zip(losses, batches, strict=True):
            own, gradients = _gradients(learner, batch, now, [layer])
            values += own
            add_share(total, gradients, len(batches))
        learner.step(total, now.lr)
        check_step(learner, now)
    return _mean(losses)


class _Enough(Exception):
    """Ends a forward after the last block that was wanted."""


def _gradients(
    learner: Learner, batch: list[Sample], now: Step, layers: Sequence[int]
) -> tuple[list[float], Gradients]:
    """One forward; right after each of `layers` its loss and its gradient. No graph is wider than one block."""
    model = learner.model
    losses: list[float] = []
    gradients: Gradients = {}

    def learn(layer: int, resid: Tensor) -> None:
        value = batch_loss(model.readout(resid[:, batch[0].positions]), batch)
        losses.append(value.item())
        now.check_loss(losses[-1:], [layer])
        own = [parameter for parameter in learner.parameters if parameter.layer == layer]
        gradients.update(learner.gradients(value, own))
        if layer == layers[-1]:
            raise _Enough

    hooks: list[tuple[str, int, HookFn]] = [("resid_pre", layer, Tensor.detach) for layer in layers]
    hooks += [("resid_post", layer, partial(learn, layer)) for layer in layers]
    with contextlib.suppress(_Enough), model.hooks(hooks):
        model.forward(rows_of(model, batch), unembed=False)
    return losses, gradients


def _mean(losses: list[list[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*losses, strict=True)]
