"""Learning rates that are best for a family: what a descent of so many steps can do at most."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from .._errors import FunctionError
from .._family import Family
from .._prompts import FunctionPrompts
from ._steps import mean_moments

_PROMPTS, _SEED = 4096, 8191  # a set of its own, large: rare long inputs decide where descent diverges
_GRID = [math.log(v) for v in (0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0)]


def best_gd(prompts: FunctionPrompts | Family, steps: int, n_examples: int = 12) -> Float64[Tensor, " prefix"]:
    """η for every prefix, with which `steps` steps have the least error on fresh prompts of the family, over all prefixes.

    η_n = c · n/(n + d + 1): the optimum of one step on normal inputs, times one c for all prefixes that a search finds.

    Args:
        prompts: their family and their number of examples count, not their numbers; or a family.
        steps: of the descent.
        n_examples: where a family is given.

    >>> import iclmech as icl
    >>> rates = icl.functions.predictors.best_gd(icl.functions.LinearRegression(d=5, noise=0.0), steps=1, n_examples=11)
    >>> abs(float(rates[10]) - 0.625) < 0.03
    True
    """
    family, n = _asked(prompts, n_examples)
    return _best(family, n, steps, False)[0] * _optimum(family, n)


def best_gd_plus_plus(
    prompts: FunctionPrompts | Family, steps: int, n_examples: int = 12
) -> tuple[Float64[Tensor, " prefix"], Float64[Tensor, " prefix"]]:
    """(η, γ) for every prefix, likewise, for GD++."""
    family, n = _asked(prompts, n_examples)
    c, g = _best(family, n, steps, True)
    return c * _optimum(family, n), g * _optimum(family, n)


def _optimum(family: Family, n: int) -> Tensor:
    seen = torch.arange(n, dtype=torch.float64)
    return seen / (seen + family.input_size + 1)


def _asked(prompts: FunctionPrompts | Family, n_examples: int) -> tuple[Family, int]:
    family, n = (prompts, n_examples) if isinstance(prompts, Family) else (prompts.family, prompts.n_examples)
    if family.kind != "real" or n < 2:
        raise FunctionError(
            f"got {family.name} with {n} examples; a learning rate needs a real-valued family and two or more."
        )
    return family, n


@lru_cache(maxsize=64)
def _best(family: Family, n: int, steps: int, plus_plus: bool) -> tuple[float, float]:
    """(c, g): in an eigendirection of X'X/n with value s, a step leaves 1 - ηa²s of what was left, and GD++ 1 - γa²s of a."""
    fresh = family.prompts(_PROMPTS, n, _SEED)
    gram, cross = mean_moments(fresh)
    s, vectors = torch.linalg.eigh(gram)
    s = s.clamp(min=1e-9)  # where nothing was seen, a step adds η times the rest, as everywhere
    weight = (vectors.mT @ cross[..., None])[..., 0] * (vectors.mT @ fresh.queries[..., None])[..., 0]
    optimum = _optimum(family, n)[:, None]

    def error(logs: Any) -> float:
        eta, gamma = math.exp(logs[0]) * optimum, math.exp(logs[1]) * optimum if plus_plus else 0.0
        learnt, a = torch.zeros_like(s), torch.ones_like(s)
        if not plus_plus:
            learnt = (1 - (1 - eta * s) ** steps) / s
        for _ in range(steps if plus_plus else 0):
            learnt, a = learnt + eta * a * a * (1 - s * learnt), a * (1 - gamma * a * a * s)
        value = float(((weight * learnt).sum(dim=-1) - fresh.clean)[:, 1:].square().mean())
        return value if math.isfinite(value) else 1e300

    return _least(error, 2 if plus_plus else 1)


def _least(error: Callable[[Any], float], free: int) -> tuple[float, float]:
    """The best of a coarse grid, then Nelder and Mead's search from there; 0 for what is not free."""
    from scipy.optimize import minimize

    start = min(product(_GRID[: len(_GRID) if free == 1 else -1], repeat=free), key=error)
    found: Any = minimize(error, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-9, "maxiter": 80})
    rates = [math.exp(v) for v in found.x]
    return rates[0], rates[1] if free == 2 else 0.0
