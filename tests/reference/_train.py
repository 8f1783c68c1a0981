"""Gradient descent and layer-causal gradient descent on keys and values, one sequence and one step at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._models import blocks, canonical, parameter_of, readout

KINDS = ("k", "v", "k_bias", "v_bias")
Delta = dict[tuple[int, str], Tensor]
Sample = tuple[Sequence[int], tuple[int, int]]  # token ids, BOS first; half-open span of the label


def _loss(logits: Tensor, sample: Sample, loss: str) -> Tensor:
    tokens, (start, stop) = sample
    counted = range(1, len(tokens)) if loss == "all" else range(start, stop)
    terms = [F.cross_entropy(logits[i - 1].unsqueeze(0), torch.tensor([tokens[i]])) for i in counted]
    return torch.stack(terms).mean()


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _weights(model: Any, layers: Iterable[int]) -> list[tuple[int, str, torch.nn.Parameter]]:
    found = [(layer, kind, parameter_of(model, layer, kind)) for layer in layers for kind in KINDS]
    return [(layer, kind, parameter) for layer, kind, parameter in found if parameter is not None]


def _gradients(model: Any, value: Tensor, layers: Iterable[int]) -> Delta:
    weights = _weights(model, layers)
    gradients = torch.autograd.grad(value, [parameter for _, _, parameter in weights])
    return {
        (layer, kind): canonical(model, kind, gradient).clone()
        for (layer, kind, _), gradient in zip(weights, gradients, strict=True)
    }


@torch.no_grad()
def _step(model: Any, gradients: Delta, lr: float) -> None:
    for (layer, kind), gradient in gradients.items():
        parameter = parameter_of(model, layer, kind)
        assert parameter is not None
        canonical(model, kind, parameter.data).sub_(lr * gradient)


@torch.no_grad()
def _values(model: Any) -> Delta:
    weights = _weights(model, range(len(blocks(model))))
    return {(layer, kind): canonical(model, kind, parameter).clone() for layer, kind, parameter in weights}


def _difference(after: Delta, before: Delta) -> Delta:
    return {key: after[key] - before[key] for key in after}


def gradient_of_output(model: Any, sample: Sample, loss: str) -> Delta:
    """The gradient of the loss at the model's output."""
    logits = model(torch.tensor([list(sample[0])])).logits[0]
    return _gradients(model, _loss(logits, sample, loss), range(len(blocks(model))))


def gradient_of_layer(model: Any, layer: int, sample: Sample, loss: str) -> Delta:
    """The gradient of the loss read after block `layer`, for that block alone: what enters it is a constant."""
    kept: list[Tensor] = []

    def detach(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (args[0].detach(), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach()}

    block = blocks(model)[layer]
    handles = [
        block.register_forward_pre_hook(detach, with_kwargs=True),
        block.register_forward_hook(lambda _module, _args, output: kept.append(_first(output))),
    ]
    try:
        model(torch.tensor([list(sample[0])]))
    finally:
        for handle in handles:
            handle.remove()
    return _gradients(model, _loss(readout(model, kept[0])[0], sample, loss), [layer])


def _mean(parts: list[Delta]) -> Delta:
    return {key: torch.stack([part[key] for part in parts]).mean(0) for key in parts[0]}


def gradient_descent(model: Any, samples: Sequence[Sample], lr: float, loss: str, batch: str = "one") -> Delta:
    """ΔW of plain SGD, one sample a step, in order (or one step on the mean of all); `model` is left alone."""
    model = copy.deepcopy(model)
    before = _values(model)
    for group in [samples] if batch == "full" else [[sample] for sample in samples]:
        _step(model, _mean([gradient_of_output(model, sample, loss) for sample in group]), lr)
    return _difference(_values(model), before)


def layer_causal_gd(
    model: Any, samples: Sequence[Sample], lr: float, loss: str, order: str = "simultaneous", batch: str = "one"
) -> Delta:
    """ΔW when every block learns from the loss read right after it: all at once, or from the bottom up."""
    model = copy.deepcopy(model)
    before = _values(model)
    layers = range(len(blocks(model)))
    for group in [samples] if batch == "full" else [[sample] for sample in samples]:
        gradients: Delta = {}
        for layer in layers:
            own = _mean([gradient_of_layer(model, layer, sample, loss) for sample in group])
            if order == "bottom_up":
                _step(model, own, lr)
            gradients |= own
        if order == "simultaneous":
            _step(model, gradients, lr)
    return _difference(_values(model), before)


@torch.no_grad()
def with_delta(model: Any, delta: Delta) -> Any:
    """A copy of `model` whose weights are moved by `delta`."""
    model = copy.deepcopy(model)
    _step(model, delta, lr=-1.0)
    return model
