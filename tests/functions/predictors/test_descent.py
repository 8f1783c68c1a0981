"""Descent, GD++ and Newton's iteration against loops that follow their definition word by word."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import FunctionError, LinearRegression, predictors


def prompts_of(seed: int = 0, points="uniform"):
    return LinearRegression(d=4, noise=0.2, points=points).prompts(6, 8, seed)


@pytest.mark.parametrize("steps", [1, 3, 17])
def test_gradient_descent_is_that_of_autograd(steps: int):
    prompts = prompts_of()
    found = predictors.gd(prompts, steps, 0.6)
    for p in range(6):
        for n in range(1, 8):
            w = torch.zeros(4, dtype=torch.float64)
            for _ in range(steps):
                w.requires_grad_()
                loss = (prompts.x[p, :n] @ w - prompts.y[p, :n]).square().sum() / (2 * n)
                w = (w - 0.6 * torch.autograd.grad(loss, w)[0]).detach()
            assert abs(float(found[p, n] - prompts.x[p, n] @ w)) < 1e-12
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gd_plus_plus_moves_residuals_and_inputs_from_the_old_inputs(steps: int):
    prompts = prompts_of(1)
    found = predictors.gd_plus_plus(prompts, steps, 0.9, 0.3)
    for p in range(6):
        for n in range(1, 8):
            x, y = prompts.x[p, : n + 1].clone(), torch.cat([prompts.y[p, :n], torch.zeros(1, dtype=torch.float64)])
            for _ in range(steps):
                seen, weights = x[:n], x[:n] @ x.T  # [pair, point]
                y, x = y - 0.9 / n * (y[:n] @ weights), x - 0.3 / n * (weights.T @ seen)
            assert abs(float(found[p, n] + y[-1])) < 1e-12


def test_without_gamma_gd_plus_plus_is_gradient_descent():
    prompts = prompts_of(2)
    away = predictors.gd_plus_plus(prompts, 4, 0.5, 0.0) - predictors.gd(prompts, 4, 0.5)
    assert away.abs().max() < 1e-12


def test_newton_follows_its_iteration_and_ends_at_ridge():
    prompts = prompts_of(3)
    x, y, query = prompts.x[2, :5], prompts.y[2, :5], prompts.x[2, 5]
    s = x.T @ x + 0.1 * torch.eye(4, dtype=torch.float64)
    m = s / torch.linalg.matrix_norm(s, 2) ** 2
    for _ in range(3):
        m = 2 * m - m @ s @ m
    assert abs(float(predictors.newton(prompts, 3, 0.1)[2, 5] - query @ m @ x.T @ y)) < 1e-12
    assert (predictors.newton(prompts, 40, 0.1) - predictors.ridge(prompts, 0.1)).abs().max() < 1e-9


def test_newton_without_a_penalty_ends_at_least_squares():
    prompts = LinearRegression(d=3, noise=0.0).prompts(8, 6, 4)
    assert (predictors.newton(prompts, 60, 0.0) - predictors.ols(prompts)).abs().max() < 1e-6


def test_steps_below_one_are_refused():
    with pytest.raises(FunctionError, match="got 0 steps"):
        predictors.gd(prompts_of(), 0, 0.1)
