"""Which training tokens does a query attend to: in context, and by the queries of the training steps?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import kendalltau
from torch import Tensor

from ._states import AnalysisError


def demonstration_of_token(context: Any) -> Int[Tensor, " context"]:
    """For every token of a `Context`, the demonstration it belongs to; -1 for BOS and separators."""
    owner = torch.full((len(context.tokens),), -1)
    for index, demonstration in enumerate(context.demonstrations):
        start = demonstration.context_start
        owner[start : start + len(demonstration.tokens) - 1] = index
    return owner


def icl_training_attention(
    context_scores: Float[Tensor, "query layer head context"], keep: Bool[Tensor, " tokens"]
) -> Float[Tensor, "query layer token"]:
    """Softmax over the kept context tokens of the scores summed over heads (ICL's side of Dai et al.).

    `keep` leaves out BOS and separators: `demonstration_of_token(context) >= 0`. Tokens stay in context order.
    """
    if keep.shape[0] != context_scores.shape[-1]:
        raise AnalysisError(
            f"got a mask of {keep.shape[0]} for {context_scores.shape[-1]} context tokens; expected one each."
        )
    return context_scores[..., keep].sum(dim=2).softmax(dim=-1)


def ft_training_attention(
    q_query: Float[Tensor, "query layer head d_head"], q_token: Float[Tensor, "token layer head d_head"]
) -> Float[Tensor, "query layer token"]:
    """Softmax over training tokens of ⟨q_query, q_token⟩ with heads concatenated (the update's side of Dai et al.).

    `q_token` is taken in that token's own training step; both q before rotary positions; BOS and separators left out.
    """
    a, b = q_query.flatten(2), q_token.flatten(2)
    return torch.einsum("qld,tld->qlt", a, b).softmax(dim=-1)


def per_demonstration(
    attention: Float[Tensor, "query layer token"], owner: Int[Tensor, " token"]
) -> Float[Tensor, "query layer demonstration"]:
    """Attention summed over the tokens of each demonstration; `owner` says which one a token belongs to."""
    n = int(owner.max()) + 1
    return torch.zeros(*attention.shape[:2], n, dtype=attention.dtype).index_add_(2, owner, attention)


def kendall(a: Float[Tensor, "query layer item"], b: Float[Tensor, "query layer item"]) -> Float[Tensor, "query layer"]:
    """Kendall's τ-b between two attentions over the same items; NaN where one of them is constant.

    Source: Dai et al., arXiv 2212.10559; `scipy.stats.kendalltau`.
    """
    x, y = (t.detach().double().numpy() for t in (a, b))
    out = np.full(x.shape[:2], np.nan)
    for where in np.ndindex(*x.shape[:2]):
        if np.ptp(x[where]) > 0 and np.ptp(y[where]) > 0:
            out[where] = kendalltau(x[where], y[where])[0]
    return torch.from_numpy(out).to(a.dtype)


def top_k_recall(
    a: Float[Tensor, "query layer item"], b: Float[Tensor, "query layer item"], k: int
) -> Float[Tensor, "query layer"]:
    """The share of the k most attended items of `a` that are among those of `b`; chance is k / items."""
    if not 1 <= k <= a.shape[-1]:
        raise AnalysisError(f"got k={k}; expected between 1 and the number of items, {a.shape[-1]}.")
    top_a, top_b = a.topk(k, dim=-1).indices, b.topk(k, dim=-1).indices
    return (top_a[..., :, None] == top_b[..., None, :]).any(dim=-1).to(a.dtype).mean(dim=-1)
