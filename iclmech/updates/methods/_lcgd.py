"""Layer-causal gradient descent: every block learns from a loss read right after it, and sees nothing above."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, overload

import torch
from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import ICLModel, Selector

from .._samples import Loss, Sample, Source, loss_of
from .._trainer import Batch, Gradients, Learner, Step, Training, check_step, run
from .._twin_training import PlainWay
from .._weight_update import WeightUpdate

Order = Literal["simultaneous", "bottom_up"]
Strategy = Literal["batched", "layerwise"]


@overload
def layer_causal_gd(
    model: ICLModel,
    prompts: Source,
    *,
    lr: float,
    loss: Loss = ...,
    order: Order = ...,
    strategy: Strategy | None = ...,
    parameters: Selector = ...,
    batch: Batch = ...,
    epochs: int = ...,
    progress: bool = ...,
) -> WeightUpdate: ...
@overload
def layer_causal_gd(
    model: ICLModel,
    prompts: Source,
    *,
    lr: Sequence[float],
    loss: Loss = ...,
    order: Order = ...,
    strategy: Strategy | None = ...,
    parameters: Selector = ...,
    batch: Batch = ...,
    epochs: int = ...,
    progress: bool = ...,
) -> list[WeightUpdate]: ...
def layer_causal_gd(
    model: ICLModel,
    prompts: Source,
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
            "bottom_up" is always layerwise, and costs up to (L+1)/2 forwards a step.

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
    if order == "bottom_up":
        return run(model, prompts, training, _bottom_up)
    way = _layerwise if strategy == "layerwise" else _batched
    return run(model, prompts, training, lambda learner, samples, now: _simultaneous(learner, samples, now, way))


Way = Callable[[Learner, Sample, Step], tuple[list[float], Gradients]]


def _simultaneous(learner: Learner, samples: list[Sample], now: Step, way: Way) -> list[float]:
    total: Gradients = {}
    losses: list[list[float]] = []
    for sample in samples:
        values, gradients = way(learner, sample, now)
        losses.append(values)
        _add(total, gradients, len(samples))
    learner.step(total, now.lr)
    return _mean(losses)


def _batched(learner: Learner, sample: Sample, now: Step) -> tuple[list[float], Gradients]:
    """One forward, the readouts of all layers in one product, one backward."""
    model, layers = learner.model, list(range(learner.model.shape.n_layers))
    kept: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[Tensor], None]:
        return lambda resid: kept.__setitem__(layer, resid[0, sample.positions])

    with model.hooks(
        _everywhere("resid_pre", layers, _detach) + [("resid_post", layer, keep(layer)) for layer in layers]
    ):
        model.forward(sample.inputs(model.device), unembed=False)
    values = loss_of(model.readout(torch.stack([kept[layer] for layer in layers])), sample)
    losses = values.tolist()
    now.check_loss(losses, layers)
    return losses, learner.gradients(values.sum(), learner.parameters)


def _layerwise(learner: Learner, sample: Sample, now: Step) -> tuple[list[float], Gradients]:
    """One forward; inside the hook after each block its loss, its gradient, and the end of its graph."""
    model, layers = learner.model, list(range(learner.model.shape.n_layers))
    losses: list[float] = []
    gradients: Gradients = {}

    def learn(layer: int) -> Callable[[Tensor], Tensor]:
        def hook(resid: Tensor) -> Tensor:
            value, own = _local(learner, layer, resid, sample, now)
            losses.append(value)
            gradients.update(own)
            return resid.detach()

        return hook

    with model.hooks(
        _everywhere("resid_pre", layers, _detach) + [("resid_post", layer, learn(layer)) for layer in layers]
    ):
        model.forward(sample.inputs(model.device), unembed=False)
    return losses, gradients


class _Enough(Exception):
    """Ends a forward after the block that was wanted."""


def _bottom_up(learner: Learner, samples: list[Sample], now: Step) -> list[float]:
    """For each layer from the bottom: gradient at the weights as the layers below left them, and a step."""
    losses: list[list[float]] = [[] for _ in samples]
    for layer in range(learner.model.shape.n_layers):
        total: Gradients = {}
        for parameter in learner.parameters:
            parameter.tensor.requires_grad_(parameter.layer == layer)
        for values, sample in zip(losses, samples, strict=True):
            value, own = _one_layer(learner, layer, sample, now)
            values.append(value)
            _add(total, own, len(samples))
        learner.step(total, now.lr)
        check_step(learner, now)
    return _mean(losses)


def _one_layer(learner: Learner, layer: int, sample: Sample, now: Step) -> tuple[float, Gradients]:
    model = learner.model
    found: list[tuple[float, Gradients]] = []

    def learn(resid: Tensor) -> None:
        found.append(_local(learner, layer, resid, sample, now))
        raise _Enough

    try:
        with model.hooks([("resid_pre", layer, _detach), ("resid_post", layer, learn)]):
            model.forward(sample.inputs(model.device), unembed=False)
    except _Enough:
        pass
    return found[0]


def _local(learner: Learner, layer: int, resid: Tensor, sample: Sample, now: Step) -> tuple[float, Gradients]:
    value = loss_of(learner.model.readout(resid[0, sample.positions]), sample)
    loss = value.item()
    now.check_loss([loss], [layer])
    return loss, learner.gradients(value, learner.of_layer(layer))


def _detach(resid: Tensor) -> Tensor:
    return resid.detach()


def _everywhere(site: str, layers: list[int], fn: Callable[[Tensor], Tensor]) -> list:
    return [(site, layer, fn) for layer in layers]


def _add(total: Gradients, gradients: Gradients, n_samples: int) -> None:
    for name, gradient in gradients.items():
        share = gradient if n_samples == 1 else gradient / n_samples
        total[name] = total[name] + share if name in total else share


def _mean(losses: list[list[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*losses, strict=True)]
