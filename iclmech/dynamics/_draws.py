"""Draws that worlds share: classes by frequency, bursts, contexts without support."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor


def cumulative(n: int, zipf: float) -> Float[Tensor, " class"]:
    """Cumulative probabilities of classes, P_k ∝ (k + 1)^−zipf."""
    weights = torch.arange(1, n + 1, dtype=torch.float64) ** -zipf
    return (weights / weights.sum()).cumsum(0)


def by_frequency(upto: Float[Tensor, " class"], size: tuple[int, ...], generator: Generator) -> Int[Tensor, "..."]:
    """Classes, independent of one another."""
    drawn = torch.rand(size, generator=generator, dtype=torch.float64)
    return torch.searchsorted(upto, drawn).clamp(max=len(upto) - 1)


def bursts(ways: Int[Tensor, "row way"], shots: int, generator: Generator) -> Int[Tensor, "row pair_and_query"]:
    """Every class of a row `shots` times in random order, and behind them one of them again as the query."""
    n, pairs = len(ways), ways.shape[1] * shots
    context = ways.repeat_interleave(shots, 1)
    if shots > 1:
        context = context.gather(1, shuffled(n, pairs, generator))
    query = torch.randint(pairs, (n, 1), generator=generator)
    return torch.cat([context, context.gather(1, query)], 1)


def shuffled(n: int, length: int, generator: Generator) -> Int[Tensor, "row place"]:
    """A random order for each of n rows."""
    return torch.rand(n, length, generator=generator).argsort(1)


def distinct(n: int, count: int, among: int, generator: Generator) -> Int[Tensor, "row count"]:
    """`count` different numbers below `among` for each row; repeats only where there are not so many."""
    if count > among:
        return torch.randint(among, (n, count), generator=generator)
    return shuffled(n, among, generator)[:, :count]


def without_support(
    upto: Float[Tensor, " class"], n: int, pairs: int, n_labels: int, generator: Generator
) -> tuple[Int[Tensor, "row pair_and_query"], Bool[Tensor, " row"]]:
    """Classes by frequency, none of the context with the query's label; and the rows where that could be drawn."""
    classes = by_frequency(upto, (n, pairs + 1), generator)
    for _ in range(200):
        clash = classes[:, :-1] % n_labels == classes[:, -1:] % n_labels
        if not clash.any():
            break
        fresh = by_frequency(upto, (n, pairs), generator)
        classes[:, :-1] = torch.where(clash, fresh, classes[:, :-1])
    return classes, (classes[:, :-1] % n_labels != classes[:, -1:] % n_labels).all(1)


def jittered(means: Float[Tensor, "*row width"], noise: float, generator: Generator) -> Float[Tensor, "*row width"]:
    """(μ + ε η) / √(1 + ε²), η normal with variance 1 / width."""
    if not noise:
        return means
    eta = torch.randn(means.shape, generator=generator)
    return eta.mul_(noise * means.shape[-1] ** -0.5).add_(means).div_((1 + noise**2) ** 0.5)
