"""Optima in closed form against numbers that are drawn."""

from __future__ import annotations

import torch

from iclmech.functions import LinearRegression, best_rates, linear_attention, optimal_eta, optimal_step, shifted_risk


def test_the_step_with_the_least_risk_is_the_one_that_regression_finds():
    spread = torch.tensor([2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    n, generator = 8, torch.Generator().manual_seed(0)
    x = torch.randn(200_000, n + 1, 4, generator=generator, dtype=torch.float64) * spread.sqrt()
    w = torch.randn(200_000, 4, generator=generator, dtype=torch.float64)
    y = torch.einsum("pnd,pd->pn", x, w)
    mean = (x[:, :n] * y[:, :n, None]).mean(dim=1)
    design = (x[:, n, :, None] * mean[:, None, :]).flatten(1)
    found = torch.linalg.lstsq(design, y[:, n, None]).solution.reshape(4, 4)
    assert (found - optimal_step(spread.diag(), n)).abs().max() < 0.03


def test_risk_under_covariate_shift_is_the_one_measured():
    prompts = LinearRegression(d=5, noise=0.0).prompts(60_000, 11, 1)
    net = linear_attention(1, 5, 10)
    for scale in (0.5, 1.0, 1.5):
        given = prompts.scaled(x=scale)
        answer = net(given.x[:, :10], given.y[:, :10], given.x[:, 10:])[:, 0].detach()
        measured = float((answer - given.y[:, 10]).square().mean()) / 5
        assert abs(measured / shifted_risk(scale, 0.625, 5, 10) - 1) < 0.06
    assert abs(shifted_risk(1.0, optimal_eta(5, 10), 5, 10) - 0.375) < 1e-12


def test_search_arrives_at_the_closed_form():
    for d, n in ((5, 10), (2, 20)):
        assert abs(best_rates(1, d, n)[0] / optimal_eta(d, n) - 1) < 0.02


def test_two_steps_on_uniform_inputs_have_the_rates_and_risks_known_from_descent_on_samples():
    """GD-2 with η 1.99 has risk/d .0627, GD++ with η 4.21 and γ .578 has .0273: d=5, n=10."""
    prompts = LinearRegression(d=5, noise=0.0, points="uniform").prompts(16_000, 11, 2)
    given = prompts.x[:, :10], prompts.y[:, :10], prompts.x[:, 10:]
    for gamma, eta, risk in ((0.0, 1.99, 0.0627), ("optimal", 4.21, 0.0273)):
        net = linear_attention(2, 5, 10, gamma=gamma, points="uniform")
        assert abs(net.eta / eta - 1) < 0.05
        measured = float((net(*given)[:, 0] - prompts.y[:, 10]).detach().square().mean()) / 5
        assert abs(measured / risk - 1) < 0.05
