"""The best that linear attention can do, in closed form where there is one, and what it does under covariate shift."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import rng

_DRAWS = 8192


def optimal_eta(d: int, n: int) -> float:
    """η* = n/(n + d + 1): one step, x ~ N(0, I), w ~ N(0, I), no noise. Its risk over d is 1 - η*.

    >>> import iclmech as icl
    >>> icl.functions.optimal_eta(d=5, n=10)
    0.625
    """
    return n / (n + d + 1)


def optimal_step(covariance: Float64[Tensor, "d d"], n: int) -> Float64[Tensor, "d d"]:
    """W* of the answer x_q·W*·(1/n) Σ x_i y_i with the least risk for x ~ N(0, Λ), w ~ N(0, I): ((1 + 1/n) Λ + tr(Λ)/n I)⁻¹.

    Source: Zhang, Frei and Bartlett, arXiv 2306.09927.

    >>> import torch, iclmech as icl
    >>> round(float(icl.functions.optimal_step(torch.eye(5, dtype=torch.float64), n=10)[0, 0]), 6)
    0.625
    """
    unit = torch.eye(len(covariance), dtype=torch.float64)
    return torch.linalg.inv((1 + 1 / n) * covariance + covariance.trace() / n * unit)


def shifted_risk(scale: float, eta: float, d: int, n: int) -> float:
    """Risk over d of one step with η when all inputs of the prompt are `scale` times N(0, I): c²(1 - 2ηc² + η²c⁴(1 + (d+1)/n)).

    >>> import iclmech as icl
    >>> round(icl.functions.shifted_risk(1.0, eta=0.625, d=5, n=10), 6)
    0.375
    """
    c = scale**2
    return c * (1 - 2 * eta * c + (eta * c) ** 2 * (1 + (d + 1) / n))


@lru_cache(maxsize=64)
def best_rates(
    layers: int, d: int, n: int, plus_plus: bool = False, points: Literal["normal", "uniform"] = "normal"
) -> tuple[float, float]:
    """(η, γ) with the least risk for w ~ N(0, I), by search over drawn spectra of X'X/n; γ is 0 for plain descent.

    In an eigendirection of X'X/n with value s, a step multiplies what is left of w by 1 - ηa²s, and GD++ a by 1 - γa²s.
    For normal inputs; uniform ones have variance ⅓ and a query as the inputs are.

    >>> import iclmech as icl
    >>> abs(icl.functions.best_rates(1, d=5, n=10)[0] - 0.625) < 0.01
    True
    """
    from scipy.optimize import minimize

    generator = rng(0, "functions: spectra")
    if points == "uniform":
        x = torch.rand(_DRAWS, n, d, generator=generator, dtype=torch.float64) * 2 - 1
    else:
        x = torch.randn(_DRAWS, n, d, generator=generator, dtype=torch.float64)
    s = torch.linalg.eigvalsh(x.mT @ x / n)

    def risk(rates: Any) -> float:
        left, a = torch.ones_like(s), torch.ones_like(s)
        for _ in range(layers):
            left, a = left * (1 - rates[0] * a * a * s), a * (1 - (rates[1] if plus_plus else 0.0) * a * a * s)
        value = float(left.square().mean())
        return value if math.isfinite(value) else 1e300

    size = 3.0 if points == "uniform" else 1.0  # one over the variance of an input
    grid = [
        (size * e, size * g)
        for e in (0.1, 0.3, 0.6, 1.0, 1.5)
        for g in ((0.0, 0.05, 0.1, 0.2, 0.3) if plus_plus else (0.0,))
    ]
    free = 2 if plus_plus else 1
    start = min(grid, key=risk)[:free]
    found: Any = minimize(risk, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 500})
    return float(found.x[0]), float(found.x[1]) if plus_plus else 0.0
