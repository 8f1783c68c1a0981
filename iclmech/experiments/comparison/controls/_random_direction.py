"""A random vector in the place of the update's shift: the weakest control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iclmech._base import REGISTRIES, imported, rng
from iclmech._base._palette import GREY

from .._control import Control

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from iclmech.captures import Activations

    from .._measure import Condition


def random_direction(condition: Condition, zs: Activations, icl: Activations, ft: Activations) -> dict[str, Any]:
    """Measures of a random vector: centred Gaussian, or uniform on [0, 1) as published.

    Measures that know how to judge a direction get one for their site; one's own get zero-shot states moved by random
    vectors as long as the update's shifts.
    """
    from .._recording import own_measures

    generator = rng(condition.seed, "random direction")
    values: dict[str, Any] = {}
    for name in condition.plan.measures:
        measure = REGISTRIES["measure"][name]
        if measure.along is not None:
            direction = _noise(zs[measure.site], condition.plan.direction, generator)
            values[name] = imported(measure.along)(zs, icl, direction)
    if condition.plan.metrics:
        values |= own_measures(condition, "random_direction", zs, icl, _displaced(condition, zs, ft))
    return values


def _noise(like: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    import torch

    draw = torch.rand if kind == "uniform" else torch.randn
    return draw(like.shape, generator=generator, dtype=like.dtype)


def _displaced(condition: Condition, zs: Activations, ft: Activations) -> Activations:
    """Zero-shot states moved by random vectors as long as the update's shifts; no predictions."""
    from dataclasses import replace

    import torch

    generator = rng(condition.seed, "random direction of own metrics")
    data = {}
    for site, start in zs.data.items():
        noise = torch.where(start.isnan(), 0, _noise(start, condition.plan.direction, generator))
        length = (ft[site] - start).nan_to_num(0).norm(dim=-1, keepdim=True)
        data[site] = start + noise * (length / noise.norm(dim=-1, keepdim=True).clamp(min=1e-30))
    nothing = torch.full_like(zs.label_scores, torch.nan)
    return replace(
        zs,
        data=data,
        label_scores=nothing,
        target_scores=torch.full_like(zs.target_scores, torch.nan),
        setting="random_direction",
    )


CONTROL = Control(
    "random_direction", "direction", random_direction, "random direction",
    essential=True, rank=30, colour=GREY, dash="longdashdot",
)  # fmt: skip
