"""Rotary positions of modules whose rotated queries and keys no hook shows."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def rotated(
    module: Any,
    q: Float[Tensor, "row query head d_head"],
    k: Float[Tensor, "row key kv_head d_head"],
    positions: Int[Tensor, "row key"],
) -> tuple[Tensor, Tensor] | None:
    """(q, k) turned by the rotary positions of an attention module; None where it has none that are known here.

    Known are TransformerLens' native models, which have a function for it, and GPT-J, which keeps a table of sines and
    cosines, and turns neighbouring entries. The last query stands at the last key.
    """
    rotary, table = getattr(module, "rotary", None), getattr(module, "embed_positions", None)
    own = positions[:, -q.shape[1] :]
    if hasattr(rotary, "apply_rope"):
        pad = k.shape[1] - q.shape[1]
        whole = nn.functional.pad(q, (0, 0, 0, 0, pad, 0)).transpose(1, 2)
        turned = rotary.apply_rope(whole, k.transpose(1, 2), position_ids=positions)  # type: ignore[union-attr]
        return turned[0].transpose(1, 2)[:, pad:], turned[1].transpose(1, 2)
    if torch.is_tensor(table) and table.ndim == 2:
        dims = int(getattr(module, "rotary_dim", None) or q.shape[-1])
        return _neighbours(q, table[own.to(table.device)], dims), _neighbours(
            k, table[positions.to(table.device)], dims
        )
    return None


def _neighbours(
    x: Float[Tensor, "row position head d_head"], table: Float[Tensor, "row position dims"], dims: int
) -> Float[Tensor, "row position head d_head"]:
    """The first `dims` entries turned in pairs (0, 1), (2, 3), …; `table`: sines of all pairs, then their cosines."""
    sine, cosine = (half[:, :, None].to(x.device, x.dtype) for half in table.chunk(2, dim=-1))
    even, odd = x[..., :dims:2], x[..., 1:dims:2]
    turned = torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)
    return torch.cat([turned, x[..., dims:]], dim=-1)


def rotary_gain(model: nn.Module, config: Any, d_head: int) -> tuple[float, int]:
    """The factor by which rotation lengthens the product of rotated entries (YaRN, LongRoPE), and how many are rotated."""
    factors = (getattr(module, "attention_scaling", None) for module in model.modules())
    factor = next((float(f) for f in factors if isinstance(f, int | float)), 1.0)
    parameters = getattr(config, "rope_parameters", None)
    share = parameters.get("partial_rotary_factor") if isinstance(parameters, dict) else None
    share = share or getattr(config, "partial_rotary_factor", None) or 1.0
    return factor**2, int(d_head * share)
