"""The iterations themselves, for all prefixes together."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from .._prompts import FunctionPrompts
from ._least_squares import moments

Rate = float | Float64[Tensor, " prefix"]


def mean_moments(prompts: FunctionPrompts) -> tuple[Tensor, Tensor]:
    """(X'X/n, X'y/n) of every prefix."""
    gram, cross = moments(prompts)
    n = torch.arange(prompts.n_examples).clamp(min=1)
    return gram / n[:, None, None], cross / n[:, None]


def gd_steps(prompts: FunctionPrompts, steps: int, eta: Rate) -> Float64[Tensor, "prompt prefix d"]:
    """Weights after gradient descent from zero."""
    eta = torch.as_tensor(eta, dtype=torch.float64)[..., None]
    gram, cross = mean_moments(prompts)
    w = eta * cross
    for _ in range(steps - 1):
        w = w - eta * ((gram @ w[..., None])[..., 0] - cross)
    return w


def gd_plus_plus_steps(
    prompts: FunctionPrompts, steps: int, eta: Rate, gamma: Rate
) -> Float64[Tensor, "prompt prefix"]:
    """Answers of GD++.

    With A the matrix that all inputs were multiplied by so far, x_i → A x_i, and residuals r = y - X u for one u for each
    prefix (the residual of any point is its value minus the same linear map), every step needs X'X and X'y only.
    """
    gram, cross = mean_moments(prompts)
    eta = torch.as_tensor(eta, dtype=torch.float64)[..., None]
    gamma = torch.as_tensor(gamma, dtype=torch.float64)[..., None, None]
    a = torch.eye(prompts.d, dtype=torch.float64).expand_as(gram).clone()
    u = torch.zeros_like(prompts.x)  # the answer so far is u·x of the point as it was at first
    for _ in range(steps):
        residual = cross - (gram @ u[..., None])[..., 0]
        u = u + eta * (a.mT @ (a @ residual[..., None]))[..., 0]
        a = a - gamma * (a @ gram @ a.mT) @ a
    return (prompts.queries * u).sum(dim=-1)


def newton_steps(prompts: FunctionPrompts, steps: int, lam: float) -> Float64[Tensor, "prompt prefix d"]:
    """Weights by Newton's iteration for the inverse."""
    gram, cross = moments(prompts)
    s = gram + lam * torch.eye(prompts.d, dtype=torch.float64)
    norm = torch.linalg.matrix_norm(s, 2)[..., None, None]
    m = s / norm.square().clamp(min=torch.finfo(torch.float64).tiny)
    for _ in range(steps):
        m = 2 * m - m @ s @ m
    return (m @ cross[..., None])[..., 0]
