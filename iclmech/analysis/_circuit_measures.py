"""Numbers of the inference circuit: copying from forerunner to label, induction to labels, assignment by similarity."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ._states import AnalysisError


def copy_magnitude(
    pattern: Float[Tensor, "demonstration layer head key"], forerunners: Int[Tensor, " demonstration"]
) -> Float[Tensor, "demonstration layer head"]:
    """Attention from each label token y_i to its forerunner token s_i.

    `pattern`: attention of the label tokens over the context; `forerunners`: index of s_i on the key axis.
    Source: Cho et al., arXiv 2410.04468, section 4.1.
    """
    index = forerunners[:, None, None, None].expand(*pattern.shape[:3], 1)
    return pattern.gather(-1, index)[..., 0]


def forerunner_heads(
    copy: Float[Tensor, "demonstration layer head"], n_tokens: int, factor: float = 5.0
) -> Bool[Tensor, "layer head"]:
    """Heads whose mean copy magnitude exceeds factor / T, T tokens in the prompt: five times uniform attention.

    Source: Cho et al., arXiv 2410.04468.
    """
    return copy.mean(dim=0) > factor / n_tokens


def label_attention(
    context_pattern: Float[Tensor, "query layer head context"], label_positions: Int[Tensor, "query demonstration"]
) -> Float[Tensor, "query layer head demonstration"]:
    """Attention from the prediction token s_q to the first token of every label y_i."""
    index = label_positions[:, None, None].expand(*context_pattern.shape[:3], -1)
    return context_pattern.gather(-1, index)


def induction_magnitude(
    attention: Float[Tensor, "query layer head demonstration"],
) -> Float[Tensor, "query layer head"]:
    """Σ_i A[s_q, y_i], the attention of the prediction token to all labels. Source: Cho et al., arXiv 2410.04468."""
    return attention.sum(dim=-1)


def induction_strength(
    attention: Float[Tensor, "query layer head demonstration"], correct: Bool[Tensor, "query demonstration"]
) -> Float[Tensor, "query layer head"]:
    """Attention to labels equal to the right one minus attention to the others.

    Source: Singh et al., arXiv 2404.07129. With more wrong labels than right ones it is negative for even attention.
    """
    return (attention * (2.0 * correct[:, None, None] - 1)).sum(dim=-1)


def correct_induction(
    attention: Float[Tensor, "query layer head demonstration"], correct: Bool[Tensor, "query demonstration"]
) -> Float[Tensor, "query layer head"]:
    """The share of the attention to labels that lies on right ones, minus the share on the others: -1 to 1.

    Even attention gives 2g - 1, g the share of right labels among the demonstrations. NaN without any attention to labels.
    Source: Cho et al., arXiv 2410.04468.
    """
    total = attention.sum(dim=-1)
    return torch.where(total > 0, induction_strength(attention, correct) / total, torch.nan)


def vote(
    weights: Float[Tensor, "query *rest demonstration"],
    labels: Int[Tensor, "same_query same_demonstration"],
    n_classes: int,
) -> Float[Tensor, "query *rest label"]:
    """Weights of the demonstrations summed by label; NaN where they sum to zero. Rows sum to 1."""
    if weights.shape[0] != labels.shape[0] or weights.shape[-1] != labels.shape[-1]:
        raise AnalysisError(
            f"got weights {tuple(weights.shape)} and labels {tuple(labels.shape)}; expected the same queries and demonstrations."
        )
    one_hot = torch.nn.functional.one_hot(labels, n_classes).to(weights.dtype)
    votes = torch.einsum("q...d,qdc->q...c", weights, one_hot)
    total = votes.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, votes / total, torch.nan)


def assigned(
    votes: Float[Tensor, "query *rest label"], gold: Int[Tensor, " query"]
) -> tuple[Float[Tensor, "query *rest"], Float[Tensor, "query *rest"]]:
    """(1 where the right label has the most votes, else 0; the share of votes on the right label).

    Even weights put the share of the right label among the demonstrations on it: what the second is to be held against.
    NaN without votes.
    """
    index = gold.view(-1, *[1] * (votes.ndim - 1)).expand(*votes.shape[:-1], 1)
    share = votes.gather(-1, index)[..., 0]
    hit = (votes.nan_to_num(-1).argmax(dim=-1) == index[..., 0]).to(votes.dtype)
    return torch.where(torch.isnan(share), torch.nan, hit), share


def cosine_weights(
    s_q: Float[Tensor, "query layer d_model"], y: Float[Tensor, "query demonstration layer d_model"]
) -> Float[Tensor, "query layer demonstration"]:
    """Softmax over demonstrations of the standardised cosine between s_q and each y_i in the residual stream.

    States share a large common part, so both are first taken relative to the mean of the y_i of the query's context.
    """
    centre = y.mean(dim=1)
    a = torch.nn.functional.normalize(s_q - centre, dim=-1)
    b = torch.nn.functional.normalize(y - centre[:, None], dim=-1)
    similarity = torch.einsum("qlm,qdlm->qld", a, b)
    spread = similarity.std(dim=-1, keepdim=True, correction=0).clamp(min=1e-12)
    return torch.softmax((similarity - similarity.mean(dim=-1, keepdim=True)) / spread, dim=-1)


def qk_weights(
    q: Float[Tensor, "query layer head d_head"],
    k: Float[Tensor, "query demonstration layer kv_head d_head"],
    scale: float | Float[Tensor, "layer"],
) -> Float[Tensor, "query layer head demonstration"]:
    """Softmax over demonstrations of scale · q(s_q)·k(y_i): similarity in each head's own W_QK subspace.

    q and k as the projections give them, before rotary positions, so only content counts. With grouped queries head h
    reads key head h // (n_heads / n_kv_heads). `scale` is one number, or one for each layer (some GPT-2s divide by the
    layer's number).
    Source: Cho et al., arXiv 2410.04468, section 4.2.
    """
    if q.shape[2] % k.shape[3]:
        raise AnalysisError(f"got {q.shape[2]} query heads on {k.shape[3]} key heads; expected a multiple.")
    k = k.repeat_interleave(q.shape[2] // k.shape[3], dim=3)
    scale = scale.to(q)[:, None, None] if isinstance(scale, Tensor) else scale
    return torch.softmax(torch.einsum("qlhd,qnlhd->qlhn", q, k) * scale, dim=-1)
