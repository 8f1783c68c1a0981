"""Signs that a model's weights were processed after loading: such a model is another training problem."""

from __future__ import annotations

from typing import Any

import torch


def centred_or_folded(hooked: Any) -> str | None:
    """Why the weights of a TransformerLens model are not its own, read off the weights; None where nothing shows.

    Looks for attention outputs centred over d_model (`center_writing_weights`) and for value biases moved into the
    output bias (`fold_value_biases`). Centring changes nothing in a model of one direction, so d_model 1 is passed.
    """
    try:
        w_o = hooked.W_O.detach().float()
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return None
    size = w_o.abs().mean()
    if w_o.shape[-1] > 1 and size > 0 and (w_o.mean(-1).abs().max() / size) < 1e-5:
        return "its output projections are centred (center_writing_weights)"
    try:
        b_v, b_o = hooked.b_V.detach(), hooked.b_O.detach()
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, TypeError):
        return None
    if torch.is_tensor(b_v) and b_v.numel() and not b_v.any() and b_o.any():
        return "its value biases are folded into the output bias (fold_value_biases)"
    return None
