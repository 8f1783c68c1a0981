"""Signs that a model's weights were processed after loading: such a model is another training problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def _all_centred(written: Iterable[Tensor]) -> bool:
    """Whether the means over d_model, the last axis, vanish in every matrix, and not all matrices do."""
    sizes = []
    for weight in written:
        size = float(weight.float().abs().mean())
        if weight.shape[-1] == 1 or (size > 0 and float(weight.float().mean(-1).abs().max()) >= 1e-5 * size):
            return False
        sizes.append(size)
    return any(sizes)


def centred_or_folded(hooked: Any) -> str | None:
    """Why the weights of a TransformerLens model are not its own, read off the weights; None where nothing shows.

    Looks for attention outputs centred over d_model (`center_writing_weights`) and for value biases moved into the
    output bias (`fold_value_biases`). Centring changes nothing in a model of one direction, so d_model 1 is passed.
    """
    try:
        centred = _all_centred(block.attn.W_O.detach() for block in hooked.blocks)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
    if centred:
        return "its output projections are centred (center_writing_weights)"
    try:
        b_v, b_o = hooked.b_V.detach(), hooked.b_O.detach()
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, TypeError):
        return None
    if torch.is_tensor(b_v) and b_v.numel() and not b_v.any() and b_o.any():
        return "its value biases are folded into the output bias (fold_value_biases)"
    return None
