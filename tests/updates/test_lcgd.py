from __future__ import annotations

import copy
import weakref

import pytest
import reference
import torch
from test_gd import LR, relative_error

from iclmech._base import UpdateError
from iclmech.models import load_model
from iclmech.updates import gradient_descent, layer_causal_gd

WAYS = [("simultaneous", "batched"), ("simultaneous", "layerwise"), ("bottom_up", "layerwise")]


@pytest.mark.parametrize("loss", ["all", "label"])
@pytest.mark.parametrize(("order", "strategy"), WAYS)
@pytest.mark.parametrize("family", reference.FAMILIES)
def test_equals_the_second_implementation(
    family, order, strategy, loss, tiny_model, tiny_hf, context, samples, untouched
):
    model = tiny_model(family)
    check = untouched(model)
    update = layer_causal_gd(model, context, lr=LR, loss=loss, order=order, strategy=strategy)
    expected = reference.layer_causal_gd(tiny_hf(family), samples, LR, loss, order)
    assert relative_error(update, expected) <= 1e-4
    assert update.relative_norm() > 0.005
    check()


@pytest.mark.parametrize(("order", "strategy"), WAYS)
def test_full_batch_equals_the_second_implementation(order, strategy, tiny_model, tiny_hf, context, samples):
    update = layer_causal_gd(tiny_model("gpt_neox"), context, lr=1.0, batch="full", order=order, strategy=strategy)
    expected = reference.layer_causal_gd(tiny_hf("gpt_neox"), samples, 1.0, "label", order, "full")
    assert relative_error(update, expected) <= 1e-4


def test_the_orders_are_different_methods(tiny_model, context):
    model = tiny_model("gpt2")
    one, other = (layer_causal_gd(model, context, lr=LR, order=order) for order in ("simultaneous", "bottom_up"))
    assert (one + other.scaled(-1)).norm() / one.norm() > 1e-3
    for kind in ("k", "v"):  # layer 0 has nothing below it, so there the order says nothing
        torch.testing.assert_close(one.delta(0, kind), other.delta(0, kind), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("family", reference.FAMILIES)
@pytest.mark.parametrize("loss", ["all", "label"])
def test_first_step_of_the_last_layer_is_gradient_descent(family, loss, tiny_model, context_of, demonstrations):
    model, first = tiny_model(family), context_of(demonstrations[:1])
    plain = gradient_descent(model, first, lr=LR, loss=loss)
    causal = layer_causal_gd(model, first, lr=LR, loss=loss)
    last = model.shape.n_layers - 1
    for kind in ("k", "v"):
        torch.testing.assert_close(causal.delta(last, kind), plain.delta(last, kind), rtol=1e-5, atol=1e-7)
        assert float((causal.delta(0, kind) - plain.delta(0, kind)).norm()) > 0.1 * float(plain.delta(0, kind).norm())


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_layer_zero_is_a_model_of_one_layer(family, tiny_model, tiny_hf, tiny_tokenizer, context, tmp_path):
    """Embedding, block 0, final norm and unembedding, trained by plain gradient descent: equal over all four steps."""
    plain = tiny_hf(family)
    config = copy.deepcopy(plain.config)
    config.num_hidden_layers = 1
    short = type(plain)(config)
    weights = plain.state_dict()
    short.load_state_dict({name: weights[name] for name in short.state_dict()})
    short.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    alone = gradient_descent(load_model(str(tmp_path)), context, lr=LR, loss="all")
    within = layer_causal_gd(tiny_model(family), context, lr=LR, loss="all")
    for kind in ("k", "v", "v_bias"):
        if alone.delta(0, kind) is not None:
            torch.testing.assert_close(within.delta(0, kind), alone.delta(0, kind), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("order", ["simultaneous", "bottom_up"])
def test_layers_above_do_not_matter(order, fresh_model, context):
    one, other = fresh_model("gpt2"), fresh_model("gpt2")
    with torch.no_grad():
        for parameter in other.parameters("all"):
            if parameter.layer == 2:
                parameter.tensor.mul_(0.5)
    a, b = (layer_causal_gd(model, context, lr=LR, order=order) for model in (one, other))
    for layer in (0, 1):
        assert torch.equal(a.delta(layer, "k"), b.delta(layer, "k"))
        assert torch.equal(a.delta(layer, "v"), b.delta(layer, "v"))
    assert not torch.equal(a.delta(2, "v"), b.delta(2, "v"))


@pytest.mark.parametrize(("order", "strategy"), WAYS)
def test_full_batch_does_not_depend_on_the_order(order, strategy, tiny_model, context_of, demonstrations):
    model = tiny_model("gpt2")
    one, other = (
        layer_causal_gd(model, context_of(ds), lr=LR, batch="full", order=order, strategy=strategy)
        for ds in (demonstrations, demonstrations[::-1])
    )
    assert (one + other.scaled(-1)).norm() / one.norm() < 1e-5


def test_readout_and_embeddings_stay_frozen(tiny_model, context):
    update = layer_causal_gd(tiny_model("gpt2"), context, lr=0.01, parameters="all")
    assert None not in {spec.layer for spec in update.layout.values()}
    assert "other" in {spec.kind for spec in update.layout.values()}


def test_one_layer_may_be_chosen(tiny_model, context_of, demonstrations):
    model, first = tiny_model("gpt2"), context_of(demonstrations[:1])
    whole = layer_causal_gd(model, first, lr=LR)
    for order, strategy in WAYS:
        part = layer_causal_gd(
            model,
            first,
            lr=LR,
            order=order,
            strategy=strategy,
            parameters=lambda name, layer: layer == 1 and ".v.w" in name,
        )
        assert part.delta(0, "v") is None
        if order == "simultaneous":
            torch.testing.assert_close(part.delta(1, "v"), whole.delta(1, "v"), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("order", "strategy"), WAYS)
def test_losses_are_kept_by_step_and_layer(order, strategy, tiny_model, context):
    update = layer_causal_gd(tiny_model("gpt2"), context, lr=0.01, order=order, strategy=strategy)
    losses = update.meta["losses"]
    assert [len(row) for row in losses] == [3, 3, 3, 3]
    plain = gradient_descent(tiny_model("gpt2"), context, lr=0.01)
    if order == "simultaneous":
        assert losses[0][-1] == pytest.approx(plain.meta["losses"][0], rel=1e-5)


@pytest.mark.parametrize(("order", "strategy"), WAYS)
def test_divergence_names_layer_step_and_rate(order, strategy, tiny_model, context, untouched):
    model = tiny_model("gpt2")
    check = untouched(model)
    where = "layer 1 is nan at step 1" if order == "bottom_up" else "layer 0 is nan at step 2"
    with pytest.raises(UpdateError, match=rf"{where} of 4, learning rate 1e\+38"):
        layer_causal_gd(model, context, lr=1e38, order=order, strategy=strategy)
    check()


def test_gradient_that_is_not_finite_is_named(fresh_model, context):
    model = fresh_model("gpt2")

    def spoil(tensor):
        copy = tensor.clone()
        copy.register_hook(lambda gradient: gradient * torch.nan)
        return copy

    with (
        model.hooks([("v", 1, spoil)]),
        pytest.raises(UpdateError, match=r"blocks.1.attn.v.* \(layer 1\) is not finite"),
    ):
        layer_causal_gd(model, context, lr=0.1)


def test_bottom_up_has_one_strategy(tiny_model, context):
    with pytest.raises(UpdateError, match="layer by layer"):
        layer_causal_gd(tiny_model("gpt2"), context, lr=0.1, order="bottom_up", strategy="batched")


class Counter:
    """Counts the floats that autograd holds on to: how many now, and how many at most."""

    def __init__(self) -> None:
        self.live = self.peak = 0

    def pack(self, tensor: torch.Tensor) -> Held:
        held = Held(tensor)
        self.live += tensor.numel()
        self.peak = max(self.peak, self.live)
        weakref.finalize(held, self.drop, tensor.numel())
        return held

    def drop(self, numel: int) -> None:
        self.live -= numel


class Held:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def peak_of_saved_floats(model, context, **options) -> int:
    counter = Counter()
    with torch.autograd.graph.saved_tensors_hooks(counter.pack, lambda held: held.tensor):
        layer_causal_gd(model, context, lr=0.01, **options)
    return counter.peak


def test_layerwise_memory_does_not_grow_with_depth(fresh_model, context_of, demonstrations):
    """By counting saved tensors: one block's worth at any depth, where the batched way holds all of them."""
    first = context_of(demonstrations[:1])
    peaks = {way: [] for way in WAYS}
    for n_layers in (2, 4, 8, 16):
        model = fresh_model("gpt2", n_layers=n_layers)
        for order, strategy in WAYS:
            peaks[order, strategy].append(peak_of_saved_floats(model, first, order=order, strategy=strategy))
    for way in (("simultaneous", "layerwise"), ("bottom_up", "layerwise")):
        assert len(set(peaks[way])) == 1, peaks
        assert peaks[way][0] > 0
    batched = peaks["simultaneous", "batched"]
    assert batched[-1] > 5 * batched[0], peaks
    assert batched[0] > peaks["simultaneous", "layerwise"][0]


@pytest.mark.parametrize("config", [{}, {"attn_only": True}, {"positional_embedding_type": "rotary"}])
def test_native_models(config, native_model, tiny_tokenizer, context_of, demonstrations, untouched):
    """TransformerLens' own models: attention-only ones too, and left in the training mode in which they start."""
    model = native_model(tiny_tokenizer, **config)
    model.hooked.train()
    check, first = untouched(model), context_of(demonstrations[:1])
    batched, layerwise = (layer_causal_gd(model, first, lr=LR, strategy=way) for way in ("batched", "layerwise"))
    assert (batched + layerwise.scaled(-1)).norm() < 1e-5 * batched.norm()
    plain = gradient_descent(model, first, lr=LR)
    torch.testing.assert_close(batched.delta(2, "v"), plain.delta(2, "v"), rtol=1e-4, atol=1e-7)
    assert float((batched.delta(0, "v") - plain.delta(0, "v")).norm()) > 0.1 * float(plain.delta(0, "v").norm())
    check()


def test_model_runs_as_before_after_a_forward_that_was_cut_short(tiny_model, context):
    model, tokens = tiny_model("gpt_neox"), torch.tensor([context.tokens])
    before = model.forward(tokens)
    layer_causal_gd(model, context, lr=LR, order="bottom_up")
    assert torch.equal(model.forward(tokens), before)
