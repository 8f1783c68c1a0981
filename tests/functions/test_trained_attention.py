"""Trained linear attention: one layer arrives at one step of descent, two at GD++."""

from __future__ import annotations

import torch

from iclmech.functions import LinearRegression, best_rates, predictors, train_linear_attention

N, D = 10, 5


def answers(net, prompts):
    with torch.no_grad():
        return net(prompts.x[:, :N], prompts.y[:, :N], prompts.x[:, N:])[:, 0]


def apart(a, b):
    return float((a - b).square().mean()) / D


def test_one_layer_learns_one_step_with_the_optimal_rate():
    net = train_linear_attention(layers=1, d=D, n=N, seed=7)
    prompts = LinearRegression(d=D, noise=0.0).prompts(8192, N + 1, 100)
    assert apart(answers(net, prompts), predictors.gd(prompts, 1, N / (N + D + 1))[:, N]) < 2e-3
    assert abs(net.eta - N / (N + D + 1)) < 0.02
    given = prompts.x[:512, :N], prompts.y[:512, :N], prompts.x[:512, N:]
    weights = predictors.gd_weights(prompts[:512], 1, 0.625)[:, N]
    assert torch.cosine_similarity(net.sensitivities(*given)[:, 0], weights, dim=-1).mean() > 0.998


def test_two_layers_learn_gd_plus_plus_and_not_descent():
    net = train_linear_attention(layers=2, d=D, n=N, seed=7)
    prompts = LinearRegression(d=D, noise=0.0, points="uniform").prompts(8192, N + 1, 101)
    found = answers(net, prompts)
    plain = predictors.gd(prompts, 2, best_rates(2, D, N, False, "uniform")[0])[:, N]
    better = predictors.gd_plus_plus(prompts, 2, *best_rates(2, D, N, True, "uniform"))[:, N]
    assert apart(found, better) < 3e-3
    assert 5 * apart(found, better) < apart(found, plain)


def test_the_seed_decides_everything():
    first, again, other = (train_linear_attention(seed=s, steps=3, batch=8) for s in (0, 0, 1))
    assert torch.equal(first.p, again.p)
    assert not torch.equal(first.p, other.p)
