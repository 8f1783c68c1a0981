"""The learning rates that are called best: none nearby is better, and they hold on prompts not seen."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Conjunctions, FunctionError, LinearRegression, predictors


def error(prompts, answers):
    return float((answers - prompts.clean)[:, 1:].square().mean())


@pytest.mark.parametrize("steps", [1, 8])
def test_no_rate_nearby_is_better(steps: int):
    prompts = LinearRegression(noise=0.5).prompts(4096, 12, 3)
    eta = predictors.best_gd(prompts, steps)
    best = error(prompts, predictors.gd(prompts, steps, eta))
    assert best == error(prompts, predictors.gd(prompts, steps))
    assert all(best < error(prompts, predictors.gd(prompts, steps, eta * c)) for c in (0.8, 1.25))
    assert best < min(error(prompts, predictors.gd(prompts, steps, c)) for c in (0.05, 0.1, 0.2, 0.4))


def test_one_step_behind_many_pairs_has_the_optimum_in_closed_form():
    eta = predictors.best_gd(LinearRegression(d=5, noise=0.0), 1, n_examples=30)
    wanted = torch.arange(30) / (torch.arange(30) + 6)
    assert (eta - wanted).abs().max() < 0.03


def test_many_steps_diverge_behind_no_prefix():
    prompts = LinearRegression(noise=0.5).prompts(1024, 12, 4)
    curve = (predictors.gd(prompts, 64) - prompts.clean).square().mean(dim=0) / 5
    assert (curve[1:] < curve[0]).all()
    assert curve[11] < 0.08


def test_gd_plus_plus_is_better_than_descent_of_as_many_steps():
    prompts = LinearRegression(noise=0.0, points="uniform").prompts(1024, 12, 5)
    assert error(prompts, predictors.gd_plus_plus(prompts, 2)) < 0.9 * error(prompts, predictors.gd(prompts, 2))


def test_a_rate_is_for_real_values():
    with pytest.raises(FunctionError, match="needs a real-valued family"):
        predictors.best_gd(Conjunctions(d=3), 1)
