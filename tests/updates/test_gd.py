from __future__ import annotations

import inspect
import math

import pytest
import reference
import torch

from iclmech._base import ModelError, UpdateError
from iclmech.updates import gradient_descent

LR = 0.1  # far enough that four steps bend: ‖ΔW‖/‖W‖ of several per cent


def relative_error(update, expected) -> float:
    """The worst over layers and kinds; one that changes by less than 1e-3 of the whole counts against that much."""
    whole = math.sqrt(sum(float(delta.norm()) ** 2 for delta in expected.values()))
    worst = 0.0
    for (layer, kind), delta in expected.items():
        mine = update.delta(layer, kind)
        assert mine.shape == delta.shape
        worst = max(worst, float((mine - delta).norm()) / max(float(delta.norm()), 1e-3 * whole) if whole else 0.0)
    return worst


@pytest.mark.parametrize("loss", ["all", "label"])
@pytest.mark.parametrize("batch", ["one", "full"])
@pytest.mark.parametrize("family", reference.FAMILIES)
def test_equals_the_second_implementation(family, batch, loss, tiny_model, tiny_hf, context, samples, untouched):
    model = tiny_model(family)
    check = untouched(model)
    update = gradient_descent(model, context, lr=LR, loss=loss, batch=batch)
    expected = reference.gradient_descent(tiny_hf(family), samples, LR, loss, batch)
    assert relative_error(update, expected) <= 1e-4
    assert update.relative_norm() > 0.005
    check()


@pytest.mark.parametrize(("family", "step", "tolerance"), [("gpt2", 1e-4, 1e-6), ("gpt_neox", 1e-2, 1e-3)])
@pytest.mark.parametrize("loss", ["all", "label"])
def test_gradient_by_finite_differences_in_float64(
    family, step, tolerance, loss, fresh_model, context_of, demonstrations
):
    """GPT-NeoX takes its softmax in float32 whatever the weights are, hence the longer step there."""
    model = fresh_model(family, dtype=torch.float64)
    demonstration = demonstrations[3]
    tokens, (start, stop) = demonstration.tokens, demonstration.label_span
    counted = range(1, len(tokens)) if loss == "all" else range(start, stop)

    def value() -> float:
        with torch.no_grad():
            logs = model.forward(torch.tensor([tokens]))[0].log_softmax(-1)
        return -sum(float(logs[i - 1, tokens[i]]) for i in counted) / len(counted)

    update = gradient_descent(model, context_of([demonstration]), lr=1.0, loss=loss)
    assert all(delta.dtype == torch.float64 for delta in update.deltas.values())
    assert update.meta["losses"] == [pytest.approx(value(), rel=1e-6)]
    for seed in range(3):
        noise = update.random_like(seed)
        with noise.scaled(step).applied(model):
            up = value()
        with noise.scaled(-step).applied(model):
            down = value()
        slope = -sum(float((noise.deltas[name] * update.deltas[name]).sum()) for name in noise.deltas)
        assert (up - down) / (2 * step) == pytest.approx(slope, rel=tolerance, abs=tolerance * abs(update.norm() ** 2))


def test_a_step_down_the_gradient_lowers_the_loss(tiny_model, context):
    update = gradient_descent(tiny_model("gpt2"), context, lr=0.05, batch="full", epochs=5)
    losses = update.meta["losses"]
    assert len(losses) == 5
    assert losses == sorted(losses, reverse=True)


def test_full_batch_does_not_depend_on_the_order(tiny_model, context_of, demonstrations):
    model = tiny_model("llama")
    forward, backward = context_of(demonstrations), context_of(demonstrations[::-1])

    def distance(batch: str) -> float:
        one, other = (gradient_descent(model, c, lr=LR, batch=batch) for c in (forward, backward))
        return (one + other.scaled(-1)).norm() / one.norm()

    assert distance("full") < 1e-5
    assert distance("one") > 1e-3  # step by step it does


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_key_bias_learns_nothing_without_rotary_positions(family, tiny_model, context):
    update = gradient_descent(tiny_model(family), context, lr=LR, loss="all")
    if update.delta(0, "k_bias") is None:
        assert family in ("llama", "gpt_neo")  # which have none
        return
    share = max(float(update.delta(n, "k_bias").norm() / update.delta(n, "k").norm()) for n in range(3))
    assert share < 1e-6 if family == "gpt2" else share > 1e-3


def test_zero_rate_changes_nothing(tiny_model, context):
    model = tiny_model("gpt2")
    update = gradient_descent(model, context, lr=0.0)
    tokens = torch.tensor([context.tokens])
    before = model.forward(tokens)
    with update.applied(model):
        assert torch.equal(model.forward(tokens), before)
    assert update.norm() == 0.0


def test_several_rates_in_one_call(tiny_model, context):
    model = tiny_model("gpt2")
    many = gradient_descent(model, context, lr=[0.01, 0.1])
    assert [u.meta["lr"] for u in many] == [0.01, 0.1]
    for update in many:
        assert update.hash == gradient_descent(model, context, lr=update.meta["lr"]).hash


def test_choice_of_parameters(tiny_model, context):
    model = tiny_model("qwen2")
    only_v = gradient_descent(model, context, lr=LR, parameters="attn_v")
    assert only_v.delta(1, "k") is None
    assert only_v.delta(1, "k_bias") is None
    assert float(only_v.delta(1, "v").norm()) > 0
    chosen = gradient_descent(model, context, lr=LR, parameters=lambda name, layer: layer == 1 and ".k." in name)
    assert {spec.layer for spec in chosen.layout.values()} == {1}
    assert float(chosen.delta(1, "k").norm()) > 0
    assert chosen.delta(0, "k") is None


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_all_parameters_equal_plain_sgd_on_the_whole_model(family, fresh_model, tiny_hf, context, samples):
    model, plain = fresh_model(family), tiny_hf(family)
    update = gradient_descent(model, context, lr=0.01, loss="all", parameters="all")
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.01)
    for tokens, _ in samples:
        ids = torch.tensor([tokens])
        optimiser.zero_grad()
        plain(ids, labels=ids).loss.backward()
        optimiser.step()
    tokens = torch.tensor([context.tokens])
    with update.applied(model), torch.no_grad():
        torch.testing.assert_close(model.forward(tokens), plain(tokens).logits, rtol=0, atol=2e-4)
        assert float((model.forward(tokens) - tiny_hf(family)(tokens).logits).abs().max()) > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_goes_through_a_float32_sum(dtype, fresh_model, context):
    model = fresh_model("gpt2", dtype=dtype)
    small, large = gradient_descent(model, context, lr=[1e-6, 1e-3])
    assert all(delta.dtype == torch.float32 for delta in small.deltas.values())
    assert small.norm() > 0
    assert small.norm() * 1e3 == pytest.approx(large.norm(), rel=0.05)
    before = model.parameters("attn_v")[0].tensor.detach().clone()
    with small.applied(model):  # such a step rounds to nothing in most of the weights themselves
        assert float((model.parameters("attn_v")[0].tensor == before).float().mean()) > 0.9


def test_progress_bar_goes_to_standard_error(tiny_model, context, capfd):
    gradient_descent(tiny_model("gpt2"), context, lr=0.1, progress=True)
    out, _ = capfd.readouterr()
    assert out == ""


def test_folded_model_is_refused(fresh_model, context):
    model = fresh_model("gpt2")
    model.hooked.enable_compatibility_mode()
    with pytest.raises(ModelError, match="load"):
        gradient_descent(model, context, lr=0.1)


def test_divergence_names_layer_step_and_rate(tiny_model, context, untouched):
    model = tiny_model("gpt2")
    check = untouched(model)
    with pytest.raises(UpdateError, match=r"output is nan at step 2 of 4, learning rate 1e\+38"):
        gradient_descent(model, context, lr=1e38)
    check()


def test_a_last_step_that_overflows_is_named(tiny_model, context_of, demonstrations):
    model, first = tiny_model("gpt2"), context_of(demonstrations[:1])

    def steepen(tensor):
        copy = tensor.clone()
        copy.register_hook(lambda gradient: gradient * 1e6)
        return copy

    with (
        model.hooks([("v", 0, steepen)]),
        pytest.raises(UpdateError, match=r"sum of steps in blocks.0.attn.v.* \(layer 0\) is not finite at step 1 of 1"),
    ):
        gradient_descent(model, first, lr=1e38)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"lr": -1.0}, "finite number ≥ 0"),
        ({"lr": math.nan}, "finite number ≥ 0"),
        ({"lr": 1e300}, "finite number ≥ 0"),
        ({"lr": []}, "at least one"),
        ({"lr": 0.1, "batch": "two"}, "'one'"),
        ({"lr": 0.1, "epochs": 0}, "at least 1"),
        ({"lr": 0.1, "loss": "text"}, "'label'"),
    ],
)
def test_bad_arguments(arguments, text, tiny_model, context):
    with pytest.raises(UpdateError, match=text):
        inspect.unwrap(gradient_descent)(tiny_model("gpt2"), context, **arguments)
