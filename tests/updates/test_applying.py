from __future__ import annotations

import contextlib
from functools import partial

import pytest
import torch

from iclmech._base import UpdateError
from iclmech.updates import WeightUpdate, gradient_descent, layer_causal_gd


def weights(model) -> dict[str, torch.Tensor]:
    return {parameter.name: parameter.tensor.detach().clone() for parameter in model.parameters("attn_kv")}


@pytest.fixture(scope="module")
def updates(tiny_model, context):
    model = tiny_model("gpt2")
    return gradient_descent(model, context, lr=0.1), layer_causal_gd(model, context, lr=0.1)


def test_weights_move_by_the_delta_and_come_back(updates, tiny_model, untouched):
    model, (update, _) = tiny_model("gpt2"), updates
    check, before = untouched(model), weights(model)
    with update.applied(model) as inside:
        assert inside is model
        assert model.applied == (update.hash,)
        for name, weight in weights(model).items():
            assert torch.equal(weight, before[name] + update.deltas[name])
    check()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_restored_when_the_block_fails(error, updates, tiny_model, untouched):
    model = tiny_model("gpt2")
    check = untouched(model)
    with pytest.raises(error), updates[0].applied(model):
        raise error
    check()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("options", [None, {"strategy": "batched"}, {"strategy": "layerwise"}, {"order": "bottom_up"}])
def test_training_restores_when_a_hook_fails_half_way(error, options, tiny_model, context, untouched):
    model = tiny_model("llama")
    check, calls = untouched(model), []

    def fail(_tensor: torch.Tensor) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise error("stop")

    train = gradient_descent if options is None else partial(layer_causal_gd, **options)
    with pytest.raises(error), model.hooks([("attn_out", 1, fail)]):
        train(model, context, lr=0.1)
    assert len(calls) == 3
    check()


def test_training_leaves_frozen_weights_and_modes_as_they_were(fresh_model, context, untouched):
    model = fresh_model("gpt2")
    model.hooked.requires_grad_(False)
    model.hooked.train()
    check = untouched(model)
    frozen = gradient_descent(model, context, lr=0.1)
    with torch.inference_mode():
        inference = gradient_descent(model, context, lr=0.1)
    with torch.no_grad():
        quiet = gradient_descent(model, context, lr=0.1)
    check()
    assert frozen.norm() > 0
    assert frozen.norm() == inference.norm() == quiet.norm()


def test_nested_updates_add_up(updates, tiny_model, untouched):
    model, (one, other) = tiny_model("gpt2"), updates
    check, before = untouched(model), weights(model)
    with one.applied(model):
        with other.applied(model):
            assert model.applied == (one.hash, other.hash)
            for name, weight in weights(model).items():
                torch.testing.assert_close(weight, before[name] + one.deltas[name] + other.deltas[name])
        for name, weight in weights(model).items():
            assert torch.equal(weight, before[name] + one.deltas[name])
    check()


def test_the_same_update_twice_is_an_error(updates, tiny_model, untouched):
    model, (one, _) = tiny_model("gpt2"), updates
    check = untouched(model)
    with one.applied(model), pytest.raises(UpdateError, match=r"scaled\(2\)"), one.applied(model):
        pass
    check()


def test_an_update_learnt_on_top_of_another_needs_it(updates, tiny_model, context, untouched):
    model, (one, _) = tiny_model("gpt2"), updates
    check = untouched(model)
    with one.applied(model):
        second = gradient_descent(model, context, lr=0.1)
        changed = weights(model)
        with second.applied(model):
            assert model.applied == (one.hash, second.hash)
        for name, weight in weights(model).items():
            assert torch.equal(weight, changed[name])
    assert second.requires == (one.hash,)
    assert second.norm() != pytest.approx(one.norm())
    with pytest.raises(UpdateError, match="apply that one first"), second.applied(model):
        pass
    check()


def test_another_model_is_refused(updates, tiny_model, fresh_model, untouched):
    model = tiny_model("llama")
    check = untouched(model)
    with pytest.raises(UpdateError, match="this update belongs to weights"), updates[0].applied(model):
        pass
    check()
    nearly = fresh_model("gpt2")
    with torch.no_grad():
        nearly.parameters("attn_kv")[0].tensor[0, 0].add_(1e-3)
    with pytest.raises(UpdateError, match=updates[0].model_hash), updates[0].applied(nearly):
        pass


def test_base_hash_survives_freezing(updates, fresh_model):
    model = fresh_model("gpt2")
    model.hooked.requires_grad_(False)
    with updates[0].applied(model):
        assert model.applied == (updates[0].hash,)


def test_taken_out_in_the_wrong_order(updates, tiny_model, untouched):
    """With an ExitStack one can; the weights end up as they were all the same, and an error says so."""
    model, (one, other) = tiny_model("gpt2"), updates
    check = untouched(model)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(one.applied(model))
    second.enter_context(other.applied(model))
    with pytest.raises(UpdateError, match="order"):
        first.close()
    second.close()
    check()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_rounded_once(dtype, fresh_model):
    """W + ΔW is summed in float32 and rounded to the type of W; a ΔW rounded first ends elsewhere in some weights."""
    model, draw = fresh_model("gpt2", dtype=dtype), torch.Generator().manual_seed(0)
    before = weights(model)
    deltas = {name: 0.01 * torch.randn(weight.shape, generator=draw) for name, weight in before.items()}
    with WeightUpdate.from_deltas(model, deltas).applied(model):
        inside = weights(model)
    twice = 0.0
    for name, weight in before.items():
        assert torch.equal(inside[name], (weight.float() + deltas[name]).to(dtype)), name
        twice += float((inside[name] != weight + deltas[name].to(dtype)).float().mean()) / len(before)
    assert twice > 0.01
