"""Sums over what stands before."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor


def before(each: Float64[Tensor, "prompt example *more"]) -> Float64[Tensor, "prompt example *more"]:
    """Σ over the examples before each one: nothing of an example itself is in it, not even by rounding."""
    return torch.cat([torch.zeros_like(each[:, :1]), each[:, :-1].cumsum(dim=1)], dim=1)
