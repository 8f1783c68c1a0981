"""Which way of obtaining scores is right on a model: its softmax is the pattern, and it is what q and k make of it."""

from __future__ import annotations

import torch
from torch import Tensor

from iclmech._base import BackendError

from ._protocol import Backend, ScoreDetails, ScoreSource, ScoreWay
from ._scores import SCORE_TAPS, scores_from_taps, softmax_allowed
from ._verified import close

Seen = list[dict[str, Tensor]]
"""By layer: what the hooks of each site saw in one forward pass."""


def require(condition: bool, text: str) -> None:
    """Raise `BackendError` that refuses the model because of `text`, unless `condition` holds."""
    if not condition:
        raise BackendError(
            f"self-check failed: {text}. This model is refused, because numbers read from it would be wrong. "
            "If its weights were processed (folded, centred), load it raw; else take a family that loads: docs/howto/models.md lists them."
        )


def choose_scores(backend: Backend, seen: Seen, dtype: torch.dtype) -> ScoreWay:
    """The score hook if it holds what q and k give, else a way of computing scores whose softmax is the pattern.

    Raises `BackendError` if no way gives the pattern in every layer.
    """
    computed, details = _computed(backend, seen, dtype), backend.score_details()
    hook = ScoreWay("hook", computed.scale if computed else backend.score_scales()[0], details)
    if all("attn_scores" in s for s in seen) and softmax_is_pattern(backend, hook, seen, dtype):
        if computed is None:
            scale = _scale_of_the_diagonal(backend, seen, dtype, details)
            require(scale is not None, "the score hook is no multiple of q·k, and no other way gives the pattern")
            return ScoreWay("hook", scale or 0.0, details)
        if all(_same_scores(backend, hook, computed, layer, s, dtype) for layer, s in enumerate(seen)):
            return hook
    if computed is None:
        require(False, "no way of computing scores reproduces the attention pattern")
    return computed  # type: ignore[return-value]  # required above


def _computed(backend: Backend, seen: Seen, dtype: torch.dtype) -> ScoreWay | None:
    sources: tuple[ScoreSource, ...] = ("rotated", "turned", "plain")
    for source in sources:
        if not all(tap in s for s in seen for tap in SCORE_TAPS[source]):
            continue
        if source == "turned" and backend.rotate(0, seen[0]["q"], seen[0]["k"], 0) is None:
            continue
        for scale in backend.score_scales():
            way = ScoreWay(source, scale, backend.score_details())
            if softmax_is_pattern(backend, way, seen, dtype):
                return way
    return None


def softmax_is_pattern(backend: Backend, way: ScoreWay, seen: Seen, dtype: torch.dtype) -> bool:
    """Whether the softmax of the scores of a way is the attention pattern in every layer."""
    return all(
        close(softmax_allowed(scores_from_taps(backend, way, layer, s)), s["attn_pattern"], dtype)
        for layer, s in enumerate(seen)
    )


def _same_scores(
    backend: Backend, one: ScoreWay, other: ScoreWay, layer: int, s: dict[str, Tensor], dtype: torch.dtype
) -> bool:
    a, b = scores_from_taps(backend, one, layer, s), scores_from_taps(backend, other, layer, s)
    return bool(torch.equal(torch.isnan(a), torch.isnan(b))) and close(a.nan_to_num(), b.nan_to_num(), dtype)


def _scale_of_the_diagonal(backend: Backend, seen: Seen, dtype: torch.dtype, details: ScoreDetails) -> float | None:
    """The scale at which the hook holds scale · q·k of every token with itself, where hidden rotations change no angle.

    They may lengthen what they rotate (`ScoreDetails.rotary_gain`), which is made up for. None where no scale fits.
    """
    for scale in backend.score_scales():
        hook, plain = (ScoreWay(source, scale, details) for source in ("hook", "plain"))
        good = True
        for layer, s in enumerate(seen):
            longer = {"q": lengthened(s["q"], details), "k": s["k"]}
            found = scores_from_taps(backend, hook, layer, s).diagonal(dim1=-2, dim2=-1)
            good &= close(found, scores_from_taps(backend, plain, layer, longer).diagonal(dim1=-2, dim2=-1), dtype)
        if good:
            return scale
    return None


def lengthened(q: Tensor, details: ScoreDetails) -> Tensor:
    """q with the gain of its rotation on the entries that are rotated."""
    if details.rotary_gain == 1.0:
        return q
    n = details.rotary_dims
    return torch.cat([q[..., :n] * details.rotary_gain, q[..., n:]], dim=-1)
