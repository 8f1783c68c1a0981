"""The weights that analysis may look at, as stacked copies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ._model import ICLModel


@dataclass(frozen=True)
class WeightsView:
    """Copies of the attention and unembedding matrices, float32 on the CPU, every query head with its key head.

    W_Q, W_K, W_V: [layer, head, d_model, d_head] · W_O: [layer, head, d_head, d_model] · W_U: [d_model, d_vocab] ·
    b_O: [layer, d_model].
    """

    W_Q: Float[Tensor, "layer head d_model d_head"]
    W_K: Float[Tensor, "layer head d_model d_head"]
    W_V: Float[Tensor, "layer head d_model d_head"]
    W_O: Float[Tensor, "layer head d_head d_model"]
    W_U: Float[Tensor, "d_model d_vocab"]
    b_O: Float[Tensor, "layer d_model"]

    @property
    def W_QK(self) -> Float[Tensor, "layer head d_model d_model"]:
        """W_Q W_Kᵀ: the bilinear form that scores two (normed) states, before any rotation."""
        return torch.einsum("lhqd,lhkd->lhqk", self.W_Q, self.W_K)


def weights_view(model: ICLModel) -> WeightsView:
    """Read a `WeightsView` off a model, as its weights are now (with any update in force)."""
    group = model.shape.n_heads // model.shape.n_kv_heads
    got = {name: model.backend.weights(name).detach().float().cpu() for name in ("W_Q", "W_K", "W_V", "W_O", "W_U")}
    for name in ("W_K", "W_V"):
        if got[name].shape[1] != model.shape.n_heads:
            got[name] = got[name].repeat_interleave(group, dim=1)
    if got["W_U"].shape[0] != model.shape.d_model:
        got["W_U"] = got["W_U"].T
    try:
        b_o = model.backend.weights("b_O").detach().float().cpu()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        b_o = torch.zeros(model.shape.n_layers, model.shape.d_model)
    return WeightsView(**got, b_O=b_o)
