"""Estimators of scikit-learn, prefix by prefix."""

from __future__ import annotations

import pytest

from iclmech.functions import Fourier, SparseRegression, predictors


def test_lasso_finds_sparse_weights_before_least_squares_does():
    prompts = SparseRegression(d=8, nonzero=2).prompts(24, 8, 0)
    found, dense = predictors.lasso(prompts, 0.01), predictors.ols(prompts)
    assert (found - prompts.y)[:, 6].square().mean() < 0.7 * (dense - prompts.y)[:, 6].square().mean()
    assert (found[:, 0] == 0).all()


def test_a_penalty_that_is_large_enough_leaves_nothing():
    assert (predictors.lasso(SparseRegression().prompts(2, 5), 1e3) == 0).all()


@pytest.mark.parametrize("predictor", [predictors.tree, predictors.boosting])
def test_trees_give_back_what_they_have_seen(predictor):
    prompts = Fourier(noise=0.0).prompts(2, 5, 1)
    prompts = prompts.asking(prompts.x.roll(1, dims=1))  # behind n pairs, the last input seen
    assert (predictor(prompts) - prompts.targets)[:, 1:].abs().max() < 0.05
