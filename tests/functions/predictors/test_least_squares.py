"""Closed forms against LAPACK and scikit-learn, prefix by prefix."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import FunctionError, LinearRegression, predictors


def padded(prompts):
    """Every prefix as a matrix of full height, zeros behind its end."""
    n = prompts.n_examples
    seen = torch.ones(n, n, dtype=torch.float64).tril(-1)
    return prompts.x[:, None] * seen[..., None], (prompts.y[:, None] * seen)[..., None]


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_least_squares_of_all_prefixes_is_that_of_lapack(noise: float):
    prompts = LinearRegression(d=20, noise=noise).prompts(64, 41, 0)
    wanted = torch.linalg.lstsq(*padded(prompts), driver="gelsd").solution[..., 0]
    found = predictors.ols_weights(prompts)
    assert ((found - wanted).norm(dim=-1) <= 1e-8 * (1 + wanted.norm(dim=-1))).all()
    if noise == 0:
        assert (predictors.ols(prompts) - (prompts.x * wanted).sum(dim=-1)).abs().max() < 1e-8


def test_least_squares_of_repeated_inputs_has_the_smallest_norm():
    prompts = LinearRegression(d=4, noise=0.3).prompts(16, 9, 1)
    prompts.x[:, 2] = prompts.x[:, 0]
    prompts.x[:, 3] = 2 * prompts.x[:, 1] - prompts.x[:, 0]
    wanted = torch.linalg.lstsq(*padded(prompts), driver="gelsd").solution[..., 0]
    assert (predictors.ols_weights(prompts) - wanted).abs().max() < 1e-8 * (1 + wanted.abs().max())


@pytest.mark.parametrize("lam", [0.01, 0.25, 4.0])
def test_ridge_is_that_of_scikit_learn(lam: float):
    from sklearn.linear_model import Ridge

    prompts = LinearRegression(d=5, noise=0.5).prompts(16, 10, 2)
    found = predictors.ridge(prompts, lam)
    for p in range(16):
        for n in range(1, 10):
            model = Ridge(alpha=lam, fit_intercept=False).fit(prompts.x[p, :n].numpy(), prompts.y[p, :n].numpy())
            wanted = model.predict(prompts.x[p, n : n + 1].numpy())[0]
            assert abs(float(found[p, n]) - wanted) < 1e-10
    assert (found[:, 0] == 0).all()


def test_means_and_averaging_are_those_of_a_loop():
    prompts = LinearRegression(d=3).prompts(8, 6, 3)
    for n in range(1, 6):
        x, y = prompts.x[:, :n], prompts.y[:, :n]
        assert (predictors.mean_y(prompts)[:, n] - y.mean(dim=1)).abs().max() < 1e-12
        w = (x * y[..., None]).mean(dim=1)
        assert (predictors.averaging(prompts)[:, n] - (w * prompts.x[:, n]).sum(dim=-1)).abs().max() < 1e-12
    for predictor in (predictors.zero, predictors.mean_y, predictors.averaging):
        assert (predictor(prompts)[:, 0] == 0).all()


def test_answers_are_to_what_is_asked():
    prompts = LinearRegression(d=3, noise=0.0).prompts(32, 8, 4).fresh(1)
    for answer in (predictors.ols(prompts), predictors.gd(prompts, 2000, 0.05), predictors.newton(prompts, 40, 0.0)):
        assert (answer[:, 7] - prompts.targets[:, 7]).abs().median() < 1e-3


def test_ridge_wants_a_penalty():
    with pytest.raises(FunctionError, match=r"got lam=0\.0; expected λ above 0"):
        predictors.ridge(LinearRegression(noise=0.0).prompts(2, 3))
