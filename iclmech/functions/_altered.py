"""Prompts from another distribution than the family's, and prompts as a control."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import rng

from ._errors import FunctionError

if TYPE_CHECKING:
    from ._prompts import FunctionPrompts
else:
    FunctionPrompts = Any


def scaled(prompts: FunctionPrompts, x: float, weights: float) -> FunctionPrompts:
    """Inputs, or weights, times a factor; the same noise."""
    _of_points(prompts, "scaled inputs")
    if weights != 1.0 and "weights" not in prompts.truth:
        raise FunctionError(f"got weights={weights} for {prompts.family.name}, which draws no weights; leave it at 1.")
    truth = {name: value * weights if name == "weights" else value for name, value in prompts.truth.items()}
    noise = prompts.y - prompts.family.values(prompts.truth, prompts.x, prompts.x)
    moved, asked = prompts.x * x, prompts.queries * x
    own = prompts.own_queries is not None
    targets = prompts.family.values(truth, asked, moved) + (prompts.targets - prompts.clean)
    return replace(
        prompts,
        x=moved,
        y=prompts.family.values(truth, moved, moved) + noise,
        truth=truth,
        own_queries=asked if own else None,
        own_targets=targets if prompts.own_targets is not None else None,
        changes=(*prompts.changes, f"x times {x:g}, weights times {weights:g}"),
    )


def asking(
    prompts: FunctionPrompts, queries: Float64[Tensor, "prompt prefix d"], seed: int, change: str
) -> FunctionPrompts:
    """Other points asked behind every prefix."""
    if queries.shape != prompts.x.shape:
        raise FunctionError(
            f"got queries {tuple(queries.shape)}; expected one point for each prefix, {tuple(prompts.x.shape)}."
        )
    clean = prompts.family.values(prompts.truth, queries, prompts.x)
    targets = prompts.family.noisy(clean, rng(seed, "functions: noise of queries"))
    return replace(prompts, own_queries=queries, own_targets=targets, changes=(*prompts.changes, change))


def fresh(prompts: FunctionPrompts, seed: int) -> FunctionPrompts:
    """Points drawn anew."""
    generator = rng(seed, "functions: fresh queries")
    queries = prompts.family.inputs(prompts.truth, len(prompts), prompts.n_examples, generator)
    return asking(prompts, queries, seed, f"fresh queries, seed {seed}")


def orthogonal(prompts: FunctionPrompts, seed: int) -> FunctionPrompts:
    """What is asked is orthogonal to the prefix."""
    _of_points(prompts, "orthogonal queries")
    n = min(prompts.n_examples, prompts.d)
    x = prompts.x[:, :n]
    away = x.clone()
    directions, _ = torch.linalg.qr(x.mT)  # column i spans, with those before, the first i + 1 inputs
    for i in range(1, n):
        seen = directions[:, :, :i]
        for _ in range(2):  # the second time for what rounding left over
            away[:, i] -= (seen @ (seen.mT @ away[:, i, :, None]))[..., 0]
    away = away * x.norm(dim=-1, keepdim=True) / away.norm(dim=-1, keepdim=True)
    return asking(replace(prompts, x=x, y=prompts.y[:, :n]), away, seed, "queries orthogonal to the prefix")


def other_quadrant(prompts: FunctionPrompts, seed: int) -> FunctionPrompts:
    """Prefix in one quadrant, what is asked in the opposite one."""
    _of_points(prompts, "a quadrant")
    generator = rng(seed, "functions: quadrants")
    signs = torch.randint(2, (len(prompts), 1, prompts.d), generator=generator).double() * 2 - 1
    noise = prompts.y - prompts.family.values(prompts.truth, prompts.x, prompts.x)
    x = prompts.x.abs() * signs
    drawn = prompts.family.inputs(prompts.truth, len(prompts), prompts.n_examples, generator)
    moved = replace(prompts, x=x, y=prompts.family.values(prompts.truth, x, x) + noise)
    return asking(moved, -drawn.abs() * signs, seed, f"queries in the other quadrant, seed {seed}")


def shuffled_y(prompts: FunctionPrompts, seed: int) -> FunctionPrompts:
    """Values in another order within each prompt, answers as they were."""
    _of_points(prompts, "shuffled values")
    keys = torch.rand(prompts.y.shape, generator=rng(seed, "functions: shuffled y"))
    return replace(
        prompts,
        y=prompts.y.gather(1, keys.argsort(dim=1)),
        own_targets=prompts.targets,
        changes=(*prompts.changes, f"y shuffled, seed {seed}"),
    )


def _of_points(prompts: FunctionPrompts, what: str) -> None:
    if prompts.family.kind == "symbols" or (prompts.family.kind == "binary" and what != "shuffled values"):
        raise FunctionError(f"got prompts of {prompts.family.name}; {what} are for inputs that are points in space.")
