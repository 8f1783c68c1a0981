"""What the measures accept: `Activations`, any mapping from sites to tensors, or the tensors themselves; and when a shift is too short to have a direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import ICLMechError


class AnalysisError(ICLMechError, ValueError):
    """A measure was given activations that cannot be compared."""


@runtime_checkable
class HasSites(Protocol):
    """Anything that gives a tensor for the name of a site: `Activations`, a `dict`, or a tensor standing for itself."""

    def __getitem__(self, site: str, /) -> Tensor: ...


States = HasSites | Tensor
"""`Activations`, a mapping from site to tensor, or a plain tensor."""

Labels = Sequence[int | None] | Tensor
"""Class indices, one per query; None (or a negative index) where a query has no class."""

TOLERANCE: dict[Literal["state", "score"], dict[torch.dtype, float]] = {
    "state": {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2},
    "score": {torch.float64: 5e-5, torch.float32: 5e-5, torch.float16: 1e-2, torch.bfloat16: 6e-2},
}
"""Relative length below which a shift is rounding noise, by the precision that the model computed in.

Scores get more room than states: under rotary positions the score of one and the same pair of tokens differs by some
6e-6 (relative, float32) between the start of a prompt and 640 tokens further on. A model in float64 is no more exact
than one in float32 where it counts: rotary angles, norms and softmax are computed in float32 whatever its precision.
"""


def site_of(acts: States, site: str) -> Tensor:
    """The tensor of `site` in `acts`, or `acts` itself if it is a tensor. Raises `AnalysisError` if it is not there."""
    if isinstance(acts, Tensor):
        return acts
    try:
        return acts[site]
    except KeyError as error:
        raise AnalysisError(
            f"the activations do not hold {site!r}. Capture it: capture(model, prompts, sites=({site!r}, ...))."
        ) from error


def precision_of(acts: States, tensor: Tensor) -> torch.dtype:
    """The precision that `acts` were computed in: what their `meta["dtype"]` says, else that of the tensor."""
    meta = getattr(acts, "meta", None)
    name = meta.get("dtype") if isinstance(meta, dict) else None
    found = getattr(torch, str(name).removeprefix("torch."), None) if name is not None else None
    return found if isinstance(found, torch.dtype) else tensor.dtype


def same_site(site: str, *acts: States) -> tuple[Tensor, ...]:
    """The tensors of `site`, one per argument. Raises `AnalysisError` unless all have one shape, [query, layer, ...]."""
    tensors = tuple(site_of(a, site) for a in acts)
    shapes = [tuple(t.shape) for t in tensors]
    if len(set(shapes)) > 1 or tensors[0].ndim < 3:
        raise AnalysisError(
            f"got {site} of shapes {', '.join(map(str, shapes))}; expected one shape [query, layer, ...] in all: "
            "capture the same prompts, sites and position in every setting."
        )
    return tensors


def tolerance_of(
    kind: Literal["state", "score"], given: float | None, tensors: Sequence[Tensor], acts: Sequence[States]
) -> float:
    """`given`, or the entry of `TOLERANCE` for the coarsest precision among `acts`."""
    if given is not None:
        return float(given)
    table = TOLERANCE[kind]
    return max(table.get(precision_of(a, t), table[torch.float32]) for a, t in zip(acts, tensors, strict=True))


def layer_by_layer(measure: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`measure` applied to each layer (axis 1) in float64, stacked along axis 1, in the precision of the first tensor.

    One layer at a time keeps the float64 copies small.
    """
    dtype = tensors[0].dtype if tensors[0].dtype == torch.float64 else torch.float32
    results = [measure(*(t[:, layer].double() for t in tensors)) for layer in range(tensors[0].shape[1])]
    return torch.stack(results, dim=1).to(dtype)


def cosine(a: Float[Tensor, "*rows d"], b: Float[Tensor, "*rows d"], keep: Tensor) -> Float[Tensor, "*rows"]:
    """cos(a, b) along the last axis, within [-1, 1]; NaN where not `keep` and where either has no length."""
    norms = a.norm(dim=-1) * b.norm(dim=-1)
    value = ((a * b).sum(-1) / norms).clamp(-1.0, 1.0)
    return torch.where(keep & (norms > 0), value, torch.nan)
