"""Predictors in closed form: zero, means, averaging, least squares, ridge."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from .._errors import FunctionError
from .._prefix_sums import before
from .._prompts import FunctionPrompts

_RANK = 1e-10  # share of |x|² that must be new for a direction to count as new


def at_queries(
    prompts: FunctionPrompts, weights: Float64[Tensor, "prompt prefix d"]
) -> Float64[Tensor, "prompt prefix"]:
    """What linear weights answer to what is asked."""
    return (prompts.queries * weights).sum(dim=-1)


def moments(prompts: FunctionPrompts) -> tuple[Tensor, Tensor]:
    """(X'X [prompt, prefix, d, d], X'y [prompt, prefix, d]) of every prefix."""
    x, y = prompts.x, prompts.y
    return before(x[..., :, None] * x[..., None, :]), before(x * y[..., None])


def zero(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
    """Zero, whatever stands before.

    >>> import iclmech as icl
    >>> float(icl.functions.predictors.zero(icl.functions.LinearRegression().prompts(4, 6)).abs().sum())
    0.0
    """
    return torch.zeros_like(prompts.targets)


def mean_y(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
    """The mean of the values seen; zero behind none."""
    return before(prompts.y) / torch.arange(prompts.n_examples).clamp(min=1)


def averaging_weights(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix d"]:
    """(1/n) Σ x_i y_i; zero behind no pairs."""
    return moments(prompts)[1] / torch.arange(prompts.n_examples).clamp(min=1)[:, None]


def averaging(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
    """x·(1/n) Σ x_i y_i: one step of gradient descent from zero with η = 1.

    Source: Garg et al., arXiv 2208.01066.

    >>> import torch, iclmech as icl
    >>> prompts = icl.functions.LinearRegression().prompts(4, 6)
    >>> ours, one_step = (f for f in (icl.functions.predictors.averaging, icl.functions.predictors.gd))
    >>> torch.allclose(ours(prompts), one_step(prompts, steps=1, eta=1.0))
    True
    """
    return at_queries(prompts, averaging_weights(prompts))


def ols_weights(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix d"]:
    """Least squares of the smallest norm, by rank-one updates (Greville; recursive least squares once all directions are seen)."""
    x, y = prompts.x, prompts.y
    p, n, d = x.shape
    out = torch.zeros_like(x)
    w = torch.zeros(p, d, dtype=torch.float64)
    free = torch.eye(d, dtype=torch.float64).expand(p, d, d).clone()  # projects on what no input has touched
    inverse = torch.zeros(p, d, d, dtype=torch.float64)  # pseudo-inverse of X'X
    for i in range(n - 1):
        xi = x[:, i, :, None]
        rest = free @ (free @ xi)
        size = (rest * rest).sum(dim=1, keepdim=True)
        new = size > _RANK * (xi * xi).sum(dim=1, keepdim=True)
        spread = inverse @ xi
        total = 1 + (xi * spread).sum(dim=1, keepdim=True)
        unit = rest / torch.where(new, size, 1.0)
        gain = torch.where(new, unit, spread / total)
        w = w + (gain * (y[:, i, None, None] - (w[..., None] * xi).sum(dim=1, keepdim=True)))[..., 0]
        grown = inverse - unit @ spread.mT - spread @ unit.mT + total * (unit @ unit.mT)
        inverse = torch.where(new, grown, inverse - spread @ spread.mT / total)
        free = torch.where(new, free - rest @ unit.mT, free)
        out[:, i + 1] = w
    return out


def ols(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
    """Least squares of the smallest norm. With noise its expected error at n = d - 1, d, d + 1 is infinite: never average over these.

    >>> import torch, iclmech as icl
    >>> prompts = icl.functions.LinearRegression(d=3, noise=0.0).prompts(4, 6)
    >>> torch.allclose(icl.functions.predictors.ols(prompts)[:, 3:], prompts.y[:, 3:])
    True
    """
    return at_queries(prompts, ols_weights(prompts))


def ridge_weights(prompts: FunctionPrompts, lam: float) -> Float64[Tensor, "prompt prefix d"]:
    """(X'X + λI)⁻¹ X'y. λ stands beside the sum over pairs, not beside their mean.

    Raises:
        FunctionError: λ not above 0.
    """
    if not lam > 0:
        raise FunctionError(f"got lam={lam}; expected λ above 0. Without a penalty take ols.")
    gram, cross = moments(prompts)
    factor = torch.linalg.cholesky(gram + lam * torch.eye(prompts.d, dtype=torch.float64))
    return torch.cholesky_solve(cross[..., None], factor)[..., 0]


def ridge(prompts: FunctionPrompts, lam: float | None = None) -> Float64[Tensor, "prompt prefix"]:
    """Ridge regression; exact Bayes for `LinearRegression` with λ = σ².

    Args:
        prompts: rows of pairs.
        lam: λ, beside the sum over pairs; σ² of the family by default.

    Raises:
        FunctionError: λ not above 0, or a family without noise and no λ.

    Source: Akyürek et al., arXiv 2211.15661, for λ* = σ² / σ_w².

    >>> import torch, iclmech as icl
    >>> prompts = icl.functions.LinearRegression(noise=0.5).prompts(4, 6)
    >>> torch.allclose(icl.functions.predictors.ridge(prompts, lam=0.25), prompts.family.bayes(prompts))
    True
    """
    return at_queries(prompts, ridge_weights(prompts, prompts.family.sigma**2 if lam is None else lam))
