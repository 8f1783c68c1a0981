from __future__ import annotations

import pytest
import torch

from iclmech.models import Twin
from iclmech.updates import _lcgd, _plain, gradient_descent, layer_causal_gd
from iclmech.updates._plain import PlainPass, plain_twin


def same(one, other) -> None:
    assert one.deltas.keys() == other.deltas.keys()
    whole = other.norm()
    for name, delta in one.deltas.items():
        gap = float((delta - other.deltas[name]).norm())
        assert gap <= 1e-4 * float(other.deltas[name].norm()) + 1e-6 * whole, name


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "qwen2"])
@pytest.mark.parametrize("loss", ["label", "all"])
@pytest.mark.parametrize("parameters", ["attn_kv", "attn_v"])
def test_hooks_and_twin_agree(family, loss, parameters, tiny_model, context):
    """A hook of the user that changes nothing sends the same update through the hooked model."""
    model = tiny_model(family)
    options = {"lr": 0.1, "loss": loss, "parameters": parameters}
    methods = (
        lambda: gradient_descent(model, context, **options),
        lambda: layer_causal_gd(model, context, **options),
        lambda: layer_causal_gd(model, context, strategy="layerwise", **options),
    )
    fast = [method() for method in methods]
    assert isinstance(plain_twin(model, model.leaves(), 60), Twin)
    with model.hooks([("resid_mid" if family == "gpt2" else "attn_out", 0, lambda tensor: None)]):
        assert plain_twin(model, model.leaves(), 60) is None
        slow = [method() for method in methods]
    for a, b in zip(fast, slow, strict=True):
        same(a, b)
        assert a.norm() > 0


def test_who_goes_through_the_hooked_model(tiny_model, fresh_model):
    assert plain_twin(tiny_model("gpt_neo"), tiny_model("gpt_neo").leaves(), 5) is None
    assert plain_twin(tiny_model("gpt2"), tiny_model("gpt2").leaves("all"), 5) is None
    half = fresh_model("gpt2", dtype=torch.bfloat16)
    assert plain_twin(half, half.leaves(), 5) is None


@pytest.mark.parametrize("fault", ["wrong", "broken"])
def test_a_way_that_is_wrong_is_not_taken(fault, fresh_model, context, monkeypatch):
    model = fresh_model("llama")
    with model.hooks([("attn_out", 0, lambda tensor: None)]):
        expected = layer_causal_gd(model, context, lr=0.1)

    def spoilt(self, value, layer=None):
        if fault == "broken":
            raise RuntimeError("no")
        return {leaf.name: torch.ones_like(leaf.tensor) for leaf in self.leaves}

    monkeypatch.setattr(PlainPass, "gradients", spoilt)
    same(layer_causal_gd(model, context, lr=0.1), expected)
    (verdict,) = [v for twin, v in _plain._verdicts.items() if twin is plain_twin(model, model.leaves(), 5)]
    assert verdict == {"lcgd batched True": False}


def test_flags_and_hooks_are_put_back(fresh_model, context, monkeypatch):
    model = fresh_model("gpt_neox")
    layer_causal_gd(model, context, lr=0.1)
    twin = plain_twin(model, model.leaves(), 5)

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_lcgd, "loss_of", fail)
    with pytest.raises(KeyboardInterrupt):
        layer_causal_gd(model, context, lr=0.1)
    for module in twin.base.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(module.iclmech_attention is None for module in twin.attention)
    own = [part.fused for part in twin._parts]
    assert not any(parameter.requires_grad for parameter in own)


def test_the_same_call_gives_the_same_bits(fresh_model, context):
    model = fresh_model("gpt2")
    first, second = (layer_causal_gd(model, context, lr=0.1) for _ in range(2))
    assert first.hash == second.hash
