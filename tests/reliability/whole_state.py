"""Everything of a model and of the process that an operation may touch, to be held against itself bit for bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import nn
from xxhash import xxh3_128

from iclmech.models import ICLModel
from iclmech.models.twin import _availability
from iclmech.models.twin._twin import Twin
from iclmech.updates import _applying

CHECKED = not ICLModel.forward.__code__.co_filename.endswith("_model.py")
"""Whether types are checked at every call: the checker draws from Python's `random` to look at one entry of a list."""


def bits(tensor: torch.Tensor) -> str:
    """A hash of all bits of a tensor."""
    raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return xxh3_128(raw).hexdigest()


def hooks_on(module: nn.Module) -> int:
    """How many hooks stand on a module and all below it."""
    tables = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(part, table)) for part in module.modules() for table in tables)


def state_of(model: ICLModel) -> dict[str, Any]:
    """Weights, flags, modes, hooks, updates in force, owner, random states and modes of PyTorch."""
    hooked = model.hooked
    found: dict[str, Any] = {f"weight {name}": bits(p) for name, p in hooked.named_parameters()}
    found |= {f"buffer {name}": bits(b) for name, b in hooked.named_buffers()}
    found |= {f"parameter {p.name}": bits(p.tensor) for p in model.parameters("all")}
    found["flags"] = [p.requires_grad for p in hooked.parameters()]
    found["gradients"] = [p.grad is None for p in hooked.parameters()]
    found["modes"] = [part.training for part in hooked.modules()]
    found["hooks"] = hooks_on(hooked)
    found["points"] = sum(len(point.fwd_hooks) for point in hooked.hook_dict.values())
    twin = _availability._twins.get(model)
    found["hooks on the twin"] = hooks_on(twin.base) if isinstance(twin, Twin) else 0
    found["applied"] = model.applied
    found["frames"] = len(_applying._frames.get(model, []))
    found["owner"] = (model.owner._thread, len(model.owner._open), model.owner._lock.locked())
    found["torch"] = bits(torch.get_rng_state())
    found["python"] = None if CHECKED else hash(random.getstate())
    found["numpy"] = str(np.random.get_state()[1].tobytes())[:2000]
    found["grad"] = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    found["dtype"] = (torch.get_default_dtype(), torch.get_default_device())
    return found


def differences(model: ICLModel, before: dict[str, Any]) -> list[str]:
    """What is no longer as it was."""
    now = state_of(model)
    return [name for name in before if now[name] != before[name]]
