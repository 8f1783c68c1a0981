from __future__ import annotations

import inspect

import pytest
import reference
import torch

from iclmech._base import BackendError, ModelError
from iclmech.models import ICLModel


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_leaves_are_the_key_and_value_projections(family, tiny_model, tiny_hf):
    model, plain = tiny_model(family), tiny_hf(family)
    biased = family in ("gpt2", "gpt_neox", "qwen2")
    parameters = model.parameters()
    kinds = ("k", "v", "k_bias", "v_bias") if biased else ("k", "v")
    assert sorted((parameter.layer, parameter.kind) for parameter in parameters) == sorted(
        (n, kind) for n in range(3) for kind in kinds
    )
    for parameter in parameters:
        own = reference.parameter_of(plain, parameter.layer, parameter.kind)
        mine = parameter.canonical(parameter.tensor.detach())
        assert torch.equal(mine, reference.canonical(plain, parameter.kind, own.detach()))
    assert {parameter.kind for parameter in model.parameters("attn_v")} == ({"v", "v_bias"} if biased else {"v"})


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_gradients_reach_every_leaf(family, fresh_model):
    model = fresh_model(family)
    tokens = torch.randint(0, 280, (2, 12), generator=torch.Generator().manual_seed(0))
    for parameter in model.hooked.parameters():
        parameter.requires_grad_(False)
    everything = model.parameters("all")
    assert (
        len({parameter.name for parameter in everything})
        == len(everything)
        == len({id(parameter.tensor) for parameter in everything})
    )
    parameters = model.parameters("attn_kv")
    for parameter in parameters:
        parameter.tensor.requires_grad_(True)
    grads = torch.autograd.grad(model.forward(tokens)[:, -1, 3].sum(), [parameter.tensor for parameter in parameters])
    for parameter, grad in zip(parameters, grads, strict=True):
        zero = parameter.kind == "k_bias" and family in ("gpt2", "gpt_neo")  # softmax does not see a constant
        assert (float(grad.abs().max()) < 1e-6) == zero, parameter.name


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_all_leaves_cover_every_weight_of_the_plain_model(family, tiny_model, tiny_hf):
    """As many numbers as the plain model has (tied embeddings once), so that no stale copy counts."""
    mine = sum(parameter.tensor.numel() for parameter in tiny_model(family).parameters("all"))
    assert mine == sum(parameter.numel() for parameter in tiny_hf(family).parameters())


def test_selectors(tiny_model):
    model = tiny_model("llama")
    chosen = model.parameters(lambda name, layer: layer == 1 and ".k." in name)
    assert [(parameter.layer, parameter.kind) for parameter in chosen] == [(1, "k")]
    with pytest.raises(ModelError, match=r"chose no parameter; the model's are named like blocks\.0"):
        model.parameters(lambda name, layer: False)
    with pytest.raises(ModelError, match="got parameters='attn'"):
        inspect.unwrap(ICLModel.parameters)(model, "attn")


def test_the_hash_follows_the_weights(fresh_model, tiny_model):
    model = fresh_model("qwen2")
    assert model.hash() == tiny_model("qwen2").hash()
    assert len(model.hash()) == 16
    for parameter in (model.parameters()[0], model.parameters("all")[-1]):
        before = model.hash()
        with torch.no_grad():
            parameter.tensor.view(-1)[0] += 1
        assert model.hash() != before


def test_hooks_read_and_write_and_leave(tiny_model):
    model, seen, tokens = tiny_model("gpt2"), [], torch.tensor([[0, 5, 6]])
    plain = model.forward(tokens)
    with model.hooks([("resid_pre", 1, seen.append), ("attn_out", 1, lambda t: t * 2)]):
        assert not torch.allclose(model.forward(tokens), plain)
    assert seen[0].shape == (1, 3, 32)
    with pytest.raises(ZeroDivisionError), model.hooks([("z", 0, lambda t: 1 / 0)]):
        model.forward(tokens)
    assert torch.equal(model.forward(tokens), plain)
    assert not any(point.fwd_hooks for point in model.hooked.hook_dict.values())
    with pytest.raises(BackendError, match="no hook for resid_pre in layer 7"), model.hooks([("resid_pre", 7, print)]):
        pass
    with pytest.raises(BackendError, match="no hook"), model.hooks([("attn_out", 0, print), ("z", 9, print)]):
        pass
    assert not any(point.fwd_hooks for point in model.hooked.hook_dict.values())


def test_hooks_of_the_user_stay(fresh_model):
    model, calls = fresh_model("gpt2"), []
    model.hooked.hook_dict["blocks.0.attn.hook_z"].add_hook(lambda tensor, hook: calls.append(1))
    with model.hooks([("z", 0, lambda tensor: None)]):
        model.forward(torch.tensor([[0, 5]]))
    model.forward(torch.tensor([[0, 5]]))
    assert len(calls) == 2


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_the_readout_of_the_last_state_is_the_logits(family, tiny_model):
    model, seen = tiny_model(family), []
    with model.hooks([("resid_post", 2, seen.append)]):
        logits = model.forward(torch.tensor([[0, 5, 6]]))
    assert torch.allclose(model.readout(seen[0]), logits, atol=1e-5)
    assert torch.allclose(model.readout(seen[0][0, 1]), logits[0, 1], atol=1e-5)


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_an_untrained_twin(family, tiny_model):
    model = tiny_model(family)
    twin, again, other = model.untrained(3), model.untrained(3), model.untrained(4)
    assert twin.hash() == again.hash() != other.hash()
    assert twin.shape == model.shape
    state = torch.randn(2, 32, generator=torch.Generator().manual_seed(1))
    assert torch.equal(twin.readout(state), model.readout(state))
    tokens = torch.tensor([[4, 9]])
    assert torch.equal(twin.backend.embed(tokens), model.backend.embed(tokens))
    for mine, fresh in zip(model.parameters(), twin.parameters(), strict=True):
        assert mine.name == fresh.name
        assert fresh.kind.endswith("bias") or float(fresh.tensor.detach().std()) < 0.05  # drawn at 0.02, not at 0.2
    everything = model.untrained(3, embeddings="fresh")
    assert not torch.allclose(everything.backend.embed(tokens), model.backend.embed(tokens))
    with pytest.raises(ModelError, match="expected 'keep' or 'fresh'"):
        inspect.unwrap(ICLModel.untrained)(model, 0, "other")


def test_drawing_a_twin_leaves_the_global_generator_alone(tiny_model):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tiny_model("gpt2").untrained(1)
    assert torch.equal(torch.rand(3), expected)


def test_a_processed_model_may_be_read_but_not_trained(fresh_model):
    model = fresh_model("gpt2")
    model.require_raw()
    model.hooked.enable_compatibility_mode(disable_warnings=True)
    folded = ICLModel(model.hooked, "folded", model.tokenizer)
    with pytest.raises(ModelError, match=r"folded cannot be updated: .*Load it raw"):
        folded.require_raw()


def test_other_objects_are_refused(tiny_hf, fresh_model, tiny_tokenizer):
    with pytest.raises(ModelError, match="got a Linear; expected a TransformerBridge"):
        ICLModel(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"got a plain GPT2LMHeadModel without tokenizer; expected .*tokenizer="):
        ICLModel(tiny_hf("gpt2"))
    model = fresh_model("gpt2")
    model.backend.tokenizer = None
    with pytest.raises(ModelError, match="has no tokenizer"):
        _ = model.tokenizer


def test_tokens_and_bos(fresh_model):
    model = fresh_model("gpt2")
    assert model.bos == 0
    assert model.tokenizer.decode(model.tokenize("a fine film")) == "a fine film"
    assert 0 not in model.tokenize("a fine film")
    model.tokenizer.bos_token = None
    assert model.bos == 1
    model.tokenizer.eos_token = None
    with pytest.raises(ModelError, match="neither a BOS nor an EOS"):
        _ = model.bos


def test_a_name_for_people(tiny_model):
    assert "3 layers × 4 heads on 2 keys, d_model 32, context 256, float32 on cpu" in repr(tiny_model("llama"))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_plain_transformers_model_is_taken_over(family, tiny_path, tiny_model):
    """One made from a config, with a tokenizer made by hand: neither has a directory to be read from again."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_path(family))
    config.architectures, config._name_or_path = None, ""
    plain = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    plain.load_state_dict(reference.load_plain(tiny_path(family)).state_dict())
    model = ICLModel(plain, "in hand", reference.make_tokenizer())
    assert dict(model.capabilities.checks)["forward"] == "equals the plain model"
    assert model.hash() == tiny_model(family).hash()
    assert model.tokenize("a fine film") == tiny_model(family).tokenize("a fine film")
    assert model.origin == {"source": "an object in hand"}
    assert model.untrained(0).hash() == tiny_model(family).untrained(0).hash()


def test_the_origin_is_told_and_an_untrained_model_is_no_trained_one(tiny_model):
    model = tiny_model("gpt2")
    assert model.origin == {"source": "directory", "name": "gpt2-3"}
    drawn = model.untrained(3)
    assert drawn.origin["weights"] == "drawn anew, seed 3; embeddings: keep"
    model_of_four_bits = ICLModel(
        model.hooked, "x", model.tokenizer, origin={"training": "Instruct", "dequantised from": "Q4_1"}
    )
    assert repr(model_of_four_bits).endswith("on cpu, Instruct, dequantised from Q4_1)")


def test_an_untrained_model_is_checked_where_its_weights_matter(tiny_model, monkeypatch):
    """Edits and the cache are the architecture's; numbers that are not finite are the draw's."""
    from iclmech.models import _selfcheck

    model = tiny_model("llama")
    tried: list[str] = []
    monkeypatch.setattr(_selfcheck, "_choose_edits", lambda *args: tried.append("edits") or "z")
    monkeypatch.setattr(_selfcheck, "_cache_works", lambda *args: tried.append("cache") or False)
    drawn = model.untrained(1)
    assert not tried
    assert (drawn.capabilities.edits, drawn.capabilities.cache) == ("pattern", True)
    assert drawn.capabilities.scores == model.capabilities.scores
    real = type(model.backend).fresh

    def broken(self, seed):
        backend = real(self, seed)
        backend.key_value_parameters()[0].tensor.data.fill_(float("nan"))
        return backend

    monkeypatch.setattr(type(model.backend), "fresh", broken)
    with pytest.raises(BackendError, match="not finite"):
        model.untrained(1)
