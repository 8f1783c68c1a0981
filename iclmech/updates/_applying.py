"""Putting updates into a model and taking them out, nested or not, whatever happens in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from iclmech._base import Guard, UpdateError
from iclmech.models import ICLModel, Parameter

from ._restore import write_back


@dataclass(eq=False)
class _Frame:
    """One update in force, and what the weights were before it."""

    hash: str
    model_hash: str
    saved: list[tuple[Tensor, Tensor]]


_frames: WeakKeyDictionary[ICLModel, list[_Frame]] = WeakKeyDictionary()
"""Updates in force by model, oldest first."""


def base_hash(model: ICLModel) -> str:
    """The hash of the model's own weights, whatever updates are in force now."""
    with model.owner.own():
        frames = _frames.get(model)
        return frames[0].model_hash if frames else model.hash()


def in_force(
    model: ICLModel, deltas: Mapping[str, Tensor], *, own_hash: str, model_hash: str, requires: Sequence[str]
) -> Guard:
    """W + ΔW inside; W restored bit for bit outside. The work of `WeightUpdate.applied`, which has the rules."""

    def change(guard: Guard) -> ICLModel:
        model.owner.take(guard)
        model.require_one_device()
        _check(model, own_hash, model_hash, requires)
        parameters = _parameters_changed(model, deltas)
        saved: list[tuple[Tensor, Tensor]] = [(p.tensor, p.tensor.detach().clone()) for p in parameters]
        frames, frame = _frames.setdefault(model, []), _Frame(own_hash, model_hash, saved)
        guard.undo(partial(_take_out, model, frames, frame))
        frames.append(frame)
        _mark(model, frames)
        _add(deltas, parameters)
        return model

    return Guard(change)


def _mark(model: ICLModel, frames: list[_Frame]) -> None:
    model.mark(*(frame.hash for frame in frames))


def _take_out(model: ICLModel, frames: list[_Frame], frame: _Frame) -> None:
    """Undo every update down to `frame`; nothing where one below has taken it out already."""
    failed: BaseException | None = None
    in_order = frame not in frames or frames[-1] is frame
    while frame in frames:
        top = frames[-1]
        try:
            write_back(top.saved)
        except BaseException as error:  # raised when those below are out, too
            failed = failed or error
        frames.remove(top)
        _mark(model, frames)
    if failed is not None:
        raise failed
    if not in_order:
        raise UpdateError(
            f"update {frame.hash} was taken out before those applied inside it, in the wrong order. All of them have "
            "been taken out and the weights are as they were below it. Use nested with blocks."
        )


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
