"""Learning rates that are best for a family: what a descent of so many steps can do at most."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .._errors import FunctionError
from .._family import Family
from .._prompts import FunctionPrompts
from ._steps import gd_plus_plus_steps, gd_steps

_PROMPTS, _SEED = 512, 8191  # a set of its own


def best_gd(prompts: FunctionPrompts | Family, steps: int, n_examples: int = 12) -> float:
    """η with which `steps` steps have the least error on fresh prompts of the family, over all prefixes that have seen a pair.

    Args:
        prompts: their family and their number of examples count, not their numbers; or a family.
        steps: of the descent.
        n_examples: where a family is given.

    >>> import iclmech as icl
    >>> 0.2 < icl.functions.predictors.best_gd(icl.functions.LinearRegression(d=5), steps=1, n_examples=6) < 0.6
    True
    """
    return _best_gd(*_asked(prompts, n_examples), steps)


def best_gd_plus_plus(prompts: FunctionPrompts | Family, steps: int, n_examples: int = 12) -> tuple[float, float]:
    """(η, γ) likewise for GD++."""
    return _best_gd_plus_plus(*_asked(prompts, n_examples), steps)


def _asked(prompts: FunctionPrompts | Family, n_examples: int) -> tuple[Family, int]:
    family, n = (prompts, n_examples) if isinstance(prompts, Family) else (prompts.family, prompts.n_examples)
    if family.kind != "real" or n < 2:
        raise FunctionError(
            f"got {family.name} with {n} examples; a learning rate needs a real-valued family and two or more."
        )
    return family, n


@lru_cache(maxsize=64)
def _best_gd(family: Family, n: int, steps: int) -> float:
    fresh = family.prompts(_PROMPTS, n, _SEED)
    return _least(
        lambda log: (fresh.queries * gd_steps(fresh, steps, float(torch.tensor(log[0]).exp()))).sum(-1), fresh, 1
    )[0]


@lru_cache(maxsize=64)
def _best_gd_plus_plus(family: Family, n: int, steps: int) -> tuple[float, float]:
    fresh = family.prompts(_PROMPTS, n, _SEED)
    found = _least(lambda log: gd_plus_plus_steps(fresh, steps, *(float(torch.tensor(v).exp()) for v in log)), fresh, 2)
    return found[0], found[1]


def _least(answers: Callable[[Any], Tensor], fresh: FunctionPrompts, free: int) -> list[float]:
    """exp of the logarithms with the least error: the best of a coarse grid, then Nelder and Mead's search from there."""
    import math
    from itertools import product

    from scipy.optimize import minimize

    def error(log: Any) -> float:
        value = float((answers(log) - fresh.clean)[:, 1:].square().mean())
        return value if math.isfinite(value) else 1e300

    start = min(product([math.log(v) for v in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)], repeat=free), key=error)
    found: Any = minimize(error, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9, "maxiter": 200})
    return [math.exp(v) for v in found.x]
