"""The dual form: attending to demonstrations as a change of a linear map, beside the change that an update makes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ._states import AnalysisError


def virtual_update(
    keys: Float[Tensor, "layer token head d_head"], values: Float[Tensor, "layer token head d_head"]
) -> Float[Tensor, "layer head d_head d_head"]:
    """ΔW_ICL = Σ_i v_i k_iᵀ over the demonstrations' tokens, head by head: with linear attention, what they add is ΔW_ICL q.

    Keys as attention uses them (rotated, where positions are), with key heads repeated for grouped queries. The scale of
    the scores is left to q.
    Source: Irie et al. 2022; Dai et al., arXiv 2212.10559.
    """
    if keys.shape != values.shape:
        raise AnalysisError(f"got keys {tuple(keys.shape)} and values {tuple(values.shape)}; expected the same shape.")
    return torch.einsum("lthv,lthk->lhvk", values, keys)


def update_in_dual_form(
    before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]
) -> Float[Tensor, "layer head d_head d_head"]:
    """ΔW_FT = V' K'ᵀ - V Kᵀ, with (keys, values) of BOS and the query under the weights before and after the update.

    For an update of W_K and W_V this is (W_V+ΔW_V) X Xᵀ (W_K+ΔW_K)ᵀ - W_V X Xᵀ W_Kᵀ, X the attention's inputs before the
    update. Each of shape [layer, token, head, d_head].
    """
    return virtual_update(*after) - virtual_update(*before)


def keys_and_values(
    x: Float[Tensor, "layer token d_model"],
    w_k: Float[Tensor, "layer head d_model d_head"],
    w_v: Float[Tensor, "layer head d_model d_head"],
    b_k: Float[Tensor, "layer head d_head"] | None = None,
    b_v: Float[Tensor, "layer head d_head"] | None = None,
) -> tuple[Float[Tensor, "layer token head d_head"], Float[Tensor, "layer token head d_head"]]:
    """Keys and values of attention inputs x under given projections, without rotation."""
    found = [torch.einsum("ltm,lhmd->lthd", x, w) for w in (w_k, w_v)]
    return tuple(y if b is None else y + b[:, None] for y, b in zip(found, (b_k, b_v), strict=True))  # type: ignore[return-value]  # two of them


def compare_maps(
    a: Float[Tensor, "layer head d_head d_head"], b: Float[Tensor, "layer head d_head d_head"], rank: int = 4
) -> dict[str, Float[Tensor, "layer head"]]:
    """Compare two changes of a head's linear map.

    cosine: of the flattened matrices. left, right: overlap ‖U_aᵀU_b‖²_F / rank of the top singular subspaces on the side of
    values and of keys (chance: rank / d_head). rank_a, rank_b: effective ranks (Σσ)² / Σσ². NaN for a map of zeros.
    """
    if a.shape != b.shape or not 1 <= rank <= a.shape[-1]:
        raise AnalysisError(
            f"got maps {tuple(a.shape)} and {tuple(b.shape)} and rank={rank}; expected one shape and rank 1 to d_head."
        )
    a, b = a.double(), b.double()
    norms = a.flatten(2).norm(dim=-1) * b.flatten(2).norm(dim=-1)
    cosine = (a * b).sum(dim=(-2, -1)) / norms
    (ua, sa, va), (ub, sb, vb) = torch.linalg.svd(a), torch.linalg.svd(b)
    left = (ua[..., :rank].mT @ ub[..., :rank]).square().sum(dim=(-2, -1)) / rank
    right = (va[..., :rank, :] @ vb[..., :rank, :].mT).square().sum(dim=(-2, -1)) / rank
    found = {"cosine": cosine, "left": left, "right": right}
    out = {name: torch.where(norms > 0, value, torch.nan).float() for name, value in found.items()}
    for name, s in (("rank_a", sa), ("rank_b", sb)):
        square = s.square().sum(dim=-1)
        out[name] = torch.where(square > 0, s.sum(dim=-1).square() / square, torch.nan).float()
    return out


def softmax_decomposition(
    context_pattern: Float[Tensor, "query layer head context"],
    values: Float[Tensor, "query layer head context d_head"],
    z: Float[Tensor, "query layer head d_head"],
) -> tuple[
    Float[Tensor, "query layer head d_head"],
    Float[Tensor, "query layer head"],
    Float[Tensor, "query layer head d_head"],
]:
    """With softmax: (Σ_i p_i v_i over the demonstrations' tokens, 1 - Σ_i p_i, what is left of z divided by the latter).

    z = demonstrations + (1 - Σp) · rest, exactly: attention to demonstrations adds a vector *and* scales the rest down.
    Leave BOS out of `context_pattern` to have it counted with the query. The rest is NaN where all attention is on the
    demonstrations.
    Source: Dai et al., arXiv 2212.10559, without its approximation.
    """
    p = context_pattern.nan_to_num()
    added = torch.einsum("qlhc,qlhcd->qlhd", p, values.nan_to_num())
    left = 1 - p.sum(dim=-1)
    rest = (z - added) / left[..., None]
    return added, left, torch.where(left[..., None] > 1e-6, rest, torch.nan)


def momentum_attention(
    z: Float[Tensor, "*batch token d_head"], values: Float[Tensor, "*batch token d_head"], eta: float
) -> Float[Tensor, "*batch token d_head"]:
    """Attention with momentum: z_t + Σ_{i<t} η^{t-i} v_i, 0 < η < 1. Source: Dai et al., arXiv 2212.10559, section 5."""
    if not 0 < eta < 1:
        raise AnalysisError(f"got eta={eta}; expected a number between 0 and 1.")
    t = torch.arange(z.shape[-2], device=z.device)
    power = t[:, None] - t[None]
    weight = torch.where(power > 0, float(eta) ** power.clamp(min=0).to(z.dtype), 0.0)
    return z + weight @ values
