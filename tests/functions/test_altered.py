"""Prompts out of distribution, and controls."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Automata, Conjunctions, FunctionError, LinearRegression, Sequential, predictors


def noise_of(prompts):
    return prompts.y - prompts.family.values(prompts.truth, prompts.x, prompts.x)


def test_scaled_inputs_have_the_values_of_the_same_functions_and_the_same_noise():
    prompts = LinearRegression(d=3).prompts(8, 6, 0)
    twice = prompts.scaled(x=2.0)
    assert torch.equal(twice.x, 2 * prompts.x)
    wanted = torch.einsum("pnd,pd->pn", twice.x, prompts.truth["weights"]) + noise_of(prompts)
    assert (twice.y - wanted).abs().max() < 1e-12
    assert (twice.targets - twice.y).abs().max() == 0
    heavy = prompts.scaled(weights=3.0)
    assert (heavy.clean - 3 * prompts.clean).abs().max() < 1e-12
    assert (noise_of(heavy) - noise_of(prompts)).abs().max() < 1e-12
    assert "x times 2" in twice.changes[0]
    assert twice.hash != prompts.hash


def test_orthogonal_queries_stand_on_all_inputs_before_and_keep_their_length():
    prompts = LinearRegression(d=4, noise=0.0).prompts(16, 7, 1)
    away = prompts.orthogonal()
    assert away.n_examples == 4
    assert away.queries.norm(dim=-1).sub(prompts.x[:, :4].norm(dim=-1)).abs().max() < 1e-10
    for n in range(1, 4):
        assert (away.x[:, :n] @ away.queries[:, n, :, None]).abs().max() < 1e-10
    for answer in (predictors.ols(away), predictors.averaging(away), away.family.bayes(away)):
        assert answer.abs().max() < 1e-9
    assert away.targets.abs().mean() > 0.5


def test_queries_in_the_other_quadrant_have_no_sign_in_common_with_the_prefix():
    prompts = LinearRegression(d=4, noise=0.0).prompts(16, 7, 2).other_quadrant()
    assert (prompts.x.sign() == prompts.x[:, :1].sign()).all()
    assert (prompts.queries.sign() == -prompts.x[:, :1].sign()).all()
    assert (prompts.targets - torch.einsum("pnd,pd->pn", prompts.queries, prompts.truth["weights"])).abs().max() < 1e-12
    assert (predictors.ols(prompts)[:, 4:] - prompts.targets[:, 4:]).abs().max() < 1e-8


def test_shuffled_values_are_the_same_ones_and_say_nothing():
    prompts = LinearRegression(d=3, noise=0.0).prompts(500, 12, 3)
    mixed = prompts.shuffled_y(1)
    assert torch.equal(mixed.y.sort(dim=1).values, prompts.y.sort(dim=1).values)
    assert torch.equal(mixed.targets, prompts.y)
    assert not torch.equal(mixed.y, prompts.y)
    ridge = predictors.ridge(mixed, lam=1.0)[:, 11]
    assert (ridge - mixed.targets[:, 11]).square().mean() > (mixed.targets[:, 11]).square().mean()


def test_fresh_queries_are_answered_by_the_same_function_behind_the_same_prefix():
    prompts = Sequential(d=2, window=3, noise=0.0).prompts(64, 12, 4).fresh(5)
    assert not torch.equal(prompts.queries, prompts.x)
    w = prompts.truth["weights"].reshape(64, 3, 2)
    n = 7
    seen = torch.stack([prompts.queries[:, n], prompts.x[:, n - 1], prompts.x[:, n - 2]], dim=1)
    assert (prompts.targets[:, n] - (seen * w).sum(dim=(1, 2)) / 3**0.5).abs().max() < 1e-12
    assert (prompts.family.bayes(prompts)[:, 9:] - prompts.targets[:, 9:]).abs().max() < 1e-6


def test_what_makes_no_sense_is_refused():
    with pytest.raises(FunctionError, match="scaled inputs are for inputs that are points"):
        Conjunctions(d=3).prompts(2, 3).scaled(2.0)
    with pytest.raises(FunctionError, match="shuffled values are for"):
        Automata().prompts(2, 3).shuffled_y()
    prompts = LinearRegression().prompts(2, 3)
    with pytest.raises(FunctionError, match="one point for each prefix"):
        prompts.asking(prompts.x[:, :2])
