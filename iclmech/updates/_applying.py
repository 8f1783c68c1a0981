"""Putting updates into a model and taking them out, nested or not, whatever happens in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import ICLModel, Parameter

from ._restore import finish, write_back


@dataclass(eq=False)
class _Frame:
    """One update in force: what the weights were before it, and the mark on the model."""

    model_hash: str
    saved: list[tuple[Tensor, Tensor]]
    mark: contextlib.ExitStack


_frames: WeakKeyDictionary[ICLModel, list[_Frame]] = WeakKeyDictionary()
"""Updates in force by model, oldest first."""


def base_hash(model: ICLModel) -> str:
    """The hash of the model's own weights, whatever updates are in force now."""
    frames = _frames.get(model)
    return frames[0].model_hash if frames else model.hash()


@contextlib.contextmanager
def in_force(
    model: ICLModel, deltas: Mapping[str, Tensor], *, own_hash: str, model_hash: str, requires: Sequence[str]
) -> Iterator[None]:
    """W + ΔW inside; W restored bit for bit outside. The work of `WeightUpdate.applied`, which has the rules."""
    _check(model, own_hash, model_hash, requires)
    parameters = _parameters_changed(model, deltas)
    frames = _frames.setdefault(model, [])
    frame = _Frame(
        model_hash,
        [(parameter.tensor, parameter.tensor.detach().clone()) for parameter in parameters],
        contextlib.ExitStack(),
    )
    try:
        frames.append(frame)
        frame.mark.enter_context(model.marked(own_hash))
        _add(deltas, parameters)
        yield
    finally:
        in_order = frame not in frames or frames[-1] is frame
        finish(lambda: _take_out(frames, frame))
        if not in_order:
            raise UpdateError(
                f"update {own_hash} was taken out before those applied inside it, in the wrong order. All of them have "
                "been taken out and the weights are as they were below it. Use nested with blocks."
            )


def _take_out(frames: list[_Frame], frame: _Frame) -> None:
    """Undo every update down to `frame`; nothing where one below has taken it out already."""
    while frame in frames:
        top = frames[-1]
        write_back(top.saved)
        top.mark.close()
        frames.remove(top)


@torch.no_grad()
def _add(deltas: Mapping[str, Tensor], parameters: list[Parameter]) -> None:
    for parameter in parameters:
        delta = deltas[parameter.name].to(parameter.tensor.device)
        dtype = torch.promote_types(parameter.tensor.dtype, torch.promote_types(delta.dtype, torch.float32))
        parameter.tensor.copy_(parameter.tensor.to(dtype) + delta.to(dtype))  # rounded once, to the type of W


def _check(model: ICLModel, own_hash: str, model_hash: str, requires: Sequence[str]) -> None:
    found = base_hash(model)
    if found != model_hash:
        raise UpdateError(
            f"got model {model.name} with weights {found}; this update belongs to weights {model_hash}. "
            "An update can be applied only to the model that it was computed on."
        )
    if own_hash in model.applied:
        raise UpdateError(f"update {own_hash} is in force already; to apply it twice use update.scaled(2).")
    missing = [name for name in requires if name not in model.applied]
    if missing:
        raise UpdateError(
            f"update {own_hash} was computed while {', '.join(missing)} was in force; apply that one first, around it."
        )


def _parameters_changed(model: ICLModel, deltas: Mapping[str, Tensor]) -> list[Parameter]:
    parameters = [parameter for parameter in model.parameters("all") if parameter.name in deltas]
    absent = set(deltas) - {parameter.name for parameter in parameters}
    if absent:
        raise UpdateError(
            f"{model.name} has no parameters {', '.join(sorted(absent))}; the update was made on another kind of model "
            "(TransformerBridge and HookedTransformer name them differently). Compute it on this one."
        )
    return parameters
