"""Models that a device map has spread over devices and the disk: weights come to where they are needed, one module at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def is_spread(model: nn.Module) -> bool:
    """Whether weights of a model lie elsewhere than where it computes with them, or on several devices."""
    devices = {tensor.device for tensor in model.parameters()}
    return len(devices) > 1 or torch.device("meta") in devices


def input_device(model: nn.Module) -> torch.device:
    """Where a spread model wants its inputs: where the first module that has weights of its own computes."""
    for module in model.modules():
        own = next(iter(module.parameters(recurse=False)), None)
        if own is not None:
            device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
            return torch.device(device) if own.is_meta and device is not None else own.device
    return torch.device("cpu")


def resident(model: nn.Module, tensors: list[Tensor]) -> Iterator[Tensor]:
    """The tensors one after the other, each brought in from where it lies while the caller looks at it."""
    owners = {id(own): (module, name) for module in model.modules() for name, own in module._parameters.items()}
    for tensor in tensors:
        if not tensor.is_meta:
            yield tensor
            continue
        from accelerate.utils import align_module_device

        module, name = owners[id(tensor)]
        with align_module_device(module):
            held: Any = module._parameters[name]
            yield held
