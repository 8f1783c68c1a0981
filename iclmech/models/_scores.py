"""True pre-softmax scores, whatever the backend's score hook holds."""

from __future__ import annotations

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor

from ._protocol import Backend, ScoreSource, ScoreWay

SCORE_TAPS: dict[ScoreSource, tuple[str, ...]] = {
    "hook": ("attn_scores",),
    "rotated": ("rot_q", "rot_k"),
    "plain": ("q", "k"),
    "turned": ("q", "k"),
}
"""The hooks that each way of obtaining scores reads."""


def grouped_scores(
    q: Float[Tensor, "row query head d_head"], k: Float[Tensor, "row key kv_head d_head"], scale: float
) -> Float[Tensor, "row head query key"]:
    """scale · q·k, head h reading key head h // (n_heads / n_kv_heads)."""
    k = repeat(k, "row key kv d -> row key (kv group) d", group=q.shape[2] // k.shape[2])
    return torch.einsum("rqhd,rkhd->rhqk", q, k) * scale


def capped(values: Float[Tensor, "..."], cap: float | None) -> Float[Tensor, "..."]:
    """cap · tanh(values / cap), which leaves small values alone and never exceeds cap; `values` where cap is None."""
    return values if cap is None else cap * torch.tanh(values / cap)


def allowed_keys(
    queries: int, keys: int, window: int | None, device: torch.device | str = "cpu"
) -> Bool[Tensor, "query key"]:
    """Which keys a query may read: causal, and at most `window` back. The last query stands at the last key."""
    at = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None]
    allowed = key <= at
    return allowed if window is None else allowed & (key > at - window)


def scores_from_taps(
    backend: Backend, way: ScoreWay, layer: int, taps: dict[str, Tensor], offset: int = 0
) -> Float[Tensor, "row head query key"]:
    """Scores of all queries against all keys from what the hooks of `SCORE_TAPS[way.source]` saw in one forward.

    Keys that a query may not read are NaN. With `way.source == "hook"` the hook's tensor is taken as it is.
    """
    if way.source == "hook":
        scores = taps["attn_scores"]
        return scores.masked_fill(scores <= torch.finfo(scores.dtype).min / 2, float("nan"))
    q, k = (taps[name] for name in SCORE_TAPS[way.source])
    if way.source == "turned":
        rotated = backend.rotate(layer, q, k, offset)
        q, k = rotated if rotated is not None else (q, k)
    scores = capped(grouped_scores(q, k, way.scale_in(layer)), way.details.cap)
    allowed = allowed_keys(scores.shape[-2], scores.shape[-1], backend.local_windows()[layer], scores.device)
    return scores.masked_fill(~allowed, float("nan"))


def softmax_allowed(scores: Float[Tensor, "... key"]) -> Float[Tensor, "... key"]:
    """Softmax over the keys that are not NaN; NaN keys get weight 0."""
    return torch.softmax(scores.masked_fill(torch.isnan(scores), float("-inf")), dim=-1)
