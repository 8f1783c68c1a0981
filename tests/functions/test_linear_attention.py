"""Linear attention: the construction is descent, to rounding."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import FunctionError, LinearRegression, linear_attention, predictors
from iclmech.functions._linear_attention import LinearAttention

N = 10


def rows(points="uniform", seed: int = 0):
    prompts = LinearRegression(d=5, noise=0.3, points=points).prompts(64, N + 1, seed)
    return prompts, (prompts.x[:, :N], prompts.y[:, :N], prompts.x[:, N:])


@pytest.mark.parametrize("layers", [1, 2, 5, 20])
def test_layers_are_steps_of_gradient_descent(layers: int):
    prompts, given = rows()
    answer = linear_attention(layers, 5, N, eta=0.7)(*given)[:, 0]
    assert (answer - predictors.gd(prompts, layers, 0.7)[:, N]).abs().max() < 1e-12


@pytest.mark.parametrize("layers", [1, 2, 5, 20])
def test_layers_are_steps_of_gd_plus_plus(layers: int):
    prompts, given = rows()
    answer = linear_attention(layers, 5, N, eta=0.7, gamma=0.3)(*given)[:, 0]
    assert (answer - predictors.gd_plus_plus(prompts, layers, 0.7, 0.3)[:, N]).abs().max() < 1e-12
    if layers > 1:
        assert (answer - predictors.gd(prompts, layers, 0.7)[:, N]).abs().max() > 1e-3


def test_a_layer_is_attention_token_by_token():
    net = LinearAttention(2, 3, 4, shared=False)
    generator = torch.Generator().manual_seed(0)
    for matrix in net.parameters():
        matrix.data = 0.3 * torch.randn(matrix.shape, generator=generator, dtype=torch.float64)
    prompts = LinearRegression(d=3).prompts(2, 5, 1)
    found = net(prompts.x[:, :4], prompts.y[:, :4], prompts.x[:, 4:]).detach()
    for p in range(2):
        tokens = [torch.cat([prompts.x[p, i], prompts.y[p, i, None] * (i < 4)]) for i in range(5)]
        for layer in range(2):
            q, k, v, out = (m[layer].detach() for m in (net.w_q, net.w_k, net.w_v, net.p))
            read = [(k @ t, v @ t) for t in tokens[:4]]
            tokens = [t + out @ sum(value * (key @ (q @ t)) for key, value in read) for t in tokens]
        assert abs(float(found[p, 0] + tokens[4][-1])) < 1e-12


def test_the_sensitivity_of_descent_is_its_weights():
    prompts, given = rows()
    found = linear_attention(2, 5, N, eta=0.7).sensitivities(*given)[:, 0]
    assert (found - predictors.gd_weights(prompts, 2, 0.7)[:, N]).abs().max() < 1e-12


def test_queries_do_not_see_each_other_and_prefixes_are_all_answered():
    prompts, (x, y, _) = rows()
    net = linear_attention(3, 5, N, eta=0.5)
    together = net(x, y, x[:, :4])
    assert (together[:, 2:3] - net(x, y, x[:, 2:3])).abs().max() < 1e-12
    found = net.answers(prompts)
    assert (found[:, 6] - predictors.gd(prompts, 3, 0.5 * 6 / N)[:, 6]).abs().max() < 1e-12


def test_optimal_is_the_closed_form_for_one_layer_and_better_than_nearby_for_more():
    assert abs(linear_attention(1, 5, N).eta - N / (N + 6)) < 1e-12
    prompts, _ = rows("normal", 3)
    prompts = LinearRegression(d=5, noise=0.0).prompts(8192, N + 1, 3)
    risks = []
    best = linear_attention(3, 5, N).eta
    for factor in (0.85, 1.0, 1.15):
        net = linear_attention(3, 5, N, eta=best * factor)
        answer = net(prompts.x[:, :N], prompts.y[:, :N], prompts.x[:, N:])[:, 0]
        risks.append(float((answer - prompts.y[:, N]).detach().square().mean()))
    assert risks[1] == min(risks)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(FunctionError, match="layers=0"):
        linear_attention(0)
    with pytest.raises(FunctionError, match="give both numbers"):
        linear_attention(2, gamma=0.2)
