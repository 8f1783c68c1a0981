"""Methods that keep a state between steps, against PyTorch's own optimisers on a plain transformers model."""

from __future__ import annotations

import math
from functools import partial

import pytest
import reference
import torch
from test_gd import relative_error
from torch import nn

from iclmech._base import UpdateError
from iclmech.models import Parameter
from iclmech.updates import adamw, gradient_descent, momentum_gd
from iclmech.updates._learner import Learner

FAMILIES = ["gpt2", "llama", "qwen2"]
ADAM = {"betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.1}


def by_optimiser(plain, samples, make, epochs) -> dict[tuple[int, str], torch.Tensor]:
    """ΔW of keys and values by an optimiser of PyTorch, loss on the label, a step per demonstration."""
    places = [(layer, kind) for layer in range(3) for kind in ("k", "v", "k_bias", "v_bias")]
    weights = {place: weight for place in places if (weight := reference.parameter_of(plain, *place)) is not None}
    own = {
        (layer, kind): reference.canonical(plain, kind, weight.detach()).clone()
        for (layer, kind), weight in weights.items()
    }
    before = {place: weight.clone() for place, weight in own.items()}
    optimiser = make(list(own.values()))
    for tokens, (start, stop) in samples * epochs:
        logits = plain(torch.tensor([tokens])).logits[0, start - 1 : stop - 1]
        loss = nn.functional.cross_entropy(logits, torch.tensor(tokens[start:stop]))
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for ((_, kind), weight), gradient in zip(own.items(), gradients, strict=True):
            weight.grad = reference.canonical(plain, kind, gradient).clone()
        optimiser.step()
        with torch.no_grad():
            for (layer, kind), weight in own.items():
                reference.canonical(plain, kind, weights[layer, kind].data).copy_(weight)
    return {place: weight - before[place] for place, weight in own.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_momentum_is_pytorchs(family, momentum, tiny_model, tiny_hf, context, samples, untouched):
    model = tiny_model(family)
    check = untouched(model)
    update = momentum_gd(model, context, lr=0.03, momentum=momentum, epochs=2)
    make = partial(torch.optim.SGD, lr=0.03, momentum=momentum)
    assert relative_error(update, by_optimiser(tiny_hf(family), samples, make, 2)) <= 1e-4
    assert update.meta["momentum"] == momentum
    check()


@pytest.mark.parametrize("family", FAMILIES)
def test_adamw_is_pytorchs(family, fresh_model, tiny_hf, context, samples):
    """In float64, where GPT-2's key biases, whose gradients are rounding alone, stay below eps."""
    update = adamw(fresh_model(family, dtype=torch.float64), context, lr=0.003, epochs=2, **ADAM)
    make = partial(torch.optim.AdamW, lr=0.003, **ADAM)
    expected = by_optimiser(tiny_hf(family, dtype=torch.float64), samples, make, 2)
    assert relative_error(update, expected) <= 1e-4
    assert update.relative_norm() > 0.005


def test_the_first_adamw_step_is_as_long_for_every_weight(tiny_model, context_of, demonstrations):
    first = context_of(demonstrations[:1])
    update = adamw(tiny_model("llama"), first, lr=0.01, weight_decay=0.0, eps=1e-12)
    sizes = torch.cat([delta.flatten().abs() for delta in update.deltas.values()])
    assert float((sizes - 0.01).abs().quantile(0.99)) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_momentum_it_is_gradient_descent(dtype, fresh_model, context):
    model = fresh_model("gpt2", dtype=dtype)
    with model.hooks([("attn_out", 0, lambda tensor: None)]):  # both through the hooked model
        mine, plain = (
            method(model, context, lr=0.1) for method in (partial(momentum_gd, momentum=0.0), gradient_descent)
        )
    for name, delta in plain.deltas.items():
        torch.testing.assert_close(mine.deltas[name], delta, rtol=0, atol=1e-8)
    assert plain.norm() > 0
    assert (momentum_gd(model, context, lr=0.1) + plain.scaled(-1)).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("method", [momentum_gd, adamw])
def test_nothing_leaks_between_rates_runs_or_methods(method, tiny_model, context):
    model = tiny_model("llama")
    alone = method(model, context, lr=0.01)
    momentum_gd(model, context, lr=0.3)
    adamw(model, context, lr=0.3)
    many = method(model, context, lr=[0.02, 0.01, 0.01])
    assert [update.hash for update in many[1:]] == [alone.hash, alone.hash]
    assert method(model, context, lr=0.01).hash == alone.hash
    assert many[0].hash != alone.hash


def test_every_parameter_has_a_state_of_its_own_and_the_rule_sees_the_weight(tiny_model):
    parameters = [
        Parameter(name, 0, "other", nn.Parameter(torch.full((2,), value))) for name, value in (("a", 1.0), ("b", 5.0))
    ]
    seen = []

    def rule(state, gradient, weight):
        seen.append((int(state.get("n", torch.tensor(0))), gradient.tolist(), weight.tolist()))
        state["n"] = state.get("n", torch.tensor(0)) + 1
        return 2 * gradient

    learner = Learner(tiny_model("gpt2"), parameters, rule)
    learner.step({"a": torch.ones(2), "b": torch.zeros(2)}, 0.5)
    learner.step({"b": torch.ones(2)}, 0.5)
    learner.step({"a": torch.ones(2)}, 0.5)
    assert seen == [(0, [1, 1], [1, 1]), (0, [0, 0], [5, 5]), (1, [1, 1], [5, 5]), (1, [1, 1], [0, 0])]
    assert [parameter.tensor.tolist() for parameter in parameters] == [[-1, -1], [4, 4]]


@pytest.mark.parametrize(
    ("method", "options", "text"),
    [
        (momentum_gd, {"momentum": 1.0}, "momentum=1.0"),
        (momentum_gd, {"momentum": -0.1}, "momentum=-0.1"),
        (momentum_gd, {"momentum": math.nan}, "momentum=nan"),
        (adamw, {"betas": (0.9, 1.0)}, "betas"),
        (adamw, {"eps": 0.0}, "eps"),
        (adamw, {"weight_decay": -1.0}, "decay"),
    ],
)
def test_bad_options_are_refused(method, options, text, tiny_model, context):
    with pytest.raises(UpdateError, match=text):
        method(tiny_model("gpt2"), context, lr=0.1, **options)
