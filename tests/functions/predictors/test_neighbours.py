"""Nearest neighbours: identical to a loop."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import FunctionError, LinearRegression, predictors


@pytest.mark.parametrize("k", [1, 3, 20])
def test_neighbours_are_those_of_a_loop(k: int):
    prompts = LinearRegression(d=3).prompts(8, 10, 0).fresh(1)
    found = predictors.knn(prompts, k)
    for p in range(8):
        assert found[p, 0] == 0
        for n in range(1, 10):
            near = (prompts.x[p, :n] - prompts.queries[p, n]).norm(dim=-1).argsort()[:k]
            assert abs(float(found[p, n] - prompts.y[p, near].mean())) < 1e-14


def test_no_neighbours_are_refused():
    with pytest.raises(FunctionError, match="got k=0"):
        predictors.knn(LinearRegression().prompts(2, 3), 0)


def test_neighbours_learn_a_little():
    prompts = LinearRegression(d=2, noise=0.0).prompts(500, 40, 2)
    error = (predictors.knn(prompts) - prompts.y).square().mean(dim=0)
    assert error[35:].mean() < 0.5 * error[1:4].mean()
    assert torch.isfinite(error).all()
