from __future__ import annotations

import pytest
import torch

from iclmech._base import UpdateError
from iclmech.models import Twin
from iclmech.models._verified import verdict
from iclmech.updates import _twin_training as _plain, gradient_descent, layer_causal_gd
from iclmech.updates._side_by_side import SideBySide
from iclmech.updates._twin_training import plain_twin


def known_verdict(model, way: str) -> str:
    """What was found out about a way through the model's twin; an error if it was not tried."""
    return verdict(plain_twin(model, model.parameters(), 5), way, lambda: "never tried")


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
    assert isinstance(plain_twin(model, model.parameters(), 60), Twin)
    with model.hooks([("resid_mid" if family == "gpt2" else "attn_out", 0, lambda tensor: None)]):
        assert plain_twin(model, model.parameters(), 60) is None
        slow = [method() for method in methods]
    for a, b in zip(fast, slow, strict=True):
        same(a, b)
        assert a.norm() > 0


def test_who_goes_through_the_hooked_model(tiny_model, fresh_model):
    assert plain_twin(tiny_model("gpt_neo"), tiny_model("gpt_neo").parameters(), 5) is None
    assert plain_twin(tiny_model("gpt2"), tiny_model("gpt2").parameters("all"), 5) is None
    half = fresh_model("gpt2", dtype=torch.bfloat16)
    assert plain_twin(half, half.parameters(), 5) is None


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
@pytest.mark.parametrize("method", [gradient_descent, layer_causal_gd])
def test_rates_together_are_the_rates_alone(family, method, tiny_model, context):
    model = tiny_model(family)
    rates = [0.2, 0.0, 0.05]
    together = method(model, context, lr=rates, epochs=2)
    for rate, update in zip(rates, together, strict=True):
        alone = method(model, context, lr=rate, epochs=2)
        same(update, alone)
        assert update.meta["lr"] == rate
        one, other = torch.tensor(update.meta["losses"]), torch.tensor(alone.meta["losses"])
        assert torch.allclose(one, other, rtol=1e-4)
    assert together[1].norm() == 0


def test_rates_that_do_not_fit_go_in_turns(tiny_model, context, monkeypatch):
    model, rates = tiny_model("gpt2"), [0.2, 0.1, 0.05]
    expected = layer_causal_gd(model, context, lr=rates)
    monkeypatch.setattr(_plain, "_TOKENS", 60)
    for one, other in zip(layer_causal_gd(model, context, lr=rates), expected, strict=True):
        same(one, other)


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
@pytest.mark.parametrize("loss", ["label", "all"])
def test_blocks_run_again_or_graphs_kept(family, loss, tiny_model, context, monkeypatch):
    """Both ways of reading the loss at some of the tokens."""
    model, found = tiny_model(family), []
    for few in (True, False):
        monkeypatch.setattr(SideBySide, "reads_few", staticmethod(lambda counted, tokens, few=few: few))
        found.append(layer_causal_gd(model, context, lr=[0.1, 0.2], loss=loss, batch="full"))
        assert known_verdict(model, f"batched, few {few}, ids") == ""
    for one, other in zip(*found, strict=True):
        same(one, other)


@pytest.mark.parametrize("method", [gradient_descent, layer_causal_gd])
def test_logits_a_few_at_a_time(method, tiny_model, context, monkeypatch):
    model = tiny_model("gpt2")
    expected = method(model, context, lr=[0.1, 0.2], loss="all")
    monkeypatch.setattr(_plain, "_LOGITS", 5 * 4 * model.shape.d_vocab)
    for one, other in zip(method(model, context, lr=[0.1, 0.2], loss="all"), expected, strict=True):
        same(one, other)
        assert torch.allclose(torch.tensor(one.meta["losses"]), torch.tensor(other.meta["losses"]), rtol=1e-5)


@pytest.mark.parametrize("fault", ["wrong", "broken"])
def test_a_way_that_is_wrong_is_not_taken(fault, fresh_model, context, monkeypatch):
    model = fresh_model("llama")
    with model.hooks([("attn_out", 0, lambda tensor: None)]):
        expected = layer_causal_gd(model, context, lr=0.1)
    real = _plain.PlainRun._descend

    def spoilt(self, factors, checks, n):
        if fault == "broken":
            raise RuntimeError("no")
        real(self, factors, checks, 2 * n)

    monkeypatch.setattr(_plain.PlainRun, "_descend", spoilt)
    same(layer_causal_gd(model, context, lr=0.1), expected)
    wrong = "RuntimeError: no" if fault == "broken" else "the weight change of blocks.0"
    assert known_verdict(model, "batched, few True, ids").startswith(wrong)


def test_nothing_is_left_behind_after_ctrl_c(fresh_model, context, monkeypatch, untouched):
    model = fresh_model("gpt_neox")
    layer_causal_gd(model, context, lr=0.1)
    twin, check = plain_twin(model, model.parameters(), 5), untouched(model)

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(SideBySide, "losses", fail)
    with pytest.raises(KeyboardInterrupt):
        layer_causal_gd(model, context, lr=0.1)
    for module in twin.base.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(module.iclmech_attention is None for module in twin.attention)
    check()


@pytest.mark.parametrize("method", [gradient_descent, layer_causal_gd])
def test_errors_name_layer_step_and_rate(method, fresh_model, context):
    model = fresh_model("gpt2")
    method(model, context, lr=0.1)
    with pytest.raises(UpdateError, match=r"step \d of 4, learning rate 1e\+30"):
        method(model, context, lr=[0.1, 1e30])
    assert torch.isfinite(method(model, context, lr=0.1).deltas[model.parameters()[0].name]).all()


def test_the_same_call_gives_the_same_bits(fresh_model, context):
    model = fresh_model("gpt2")
    first, second = (layer_causal_gd(model, context, lr=0.1) for _ in range(2))
    assert first.hash == second.hash
