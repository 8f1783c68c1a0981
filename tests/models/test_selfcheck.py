from __future__ import annotations

import pytest
import reference
import torch

from iclmech._base import BackendError
from iclmech.models import ICLModel, load_model
from iclmech.models.backends._boot import boot
from iclmech.models.backends._bridge import BridgeBackend


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_what_is_chosen(family, tiny_model):
    """GPT-Neo's score hook holds the pattern and discards edits of it; everywhere else the hooks are right."""
    can = tiny_model(family).capabilities
    assert can.scores.source == ("plain" if family == "gpt_neo" else "hook")
    assert can.scores.scale == pytest.approx(1.0 if family == "gpt_neo" else 8**-0.5)
    assert can.edits == ("z" if family == "gpt_neo" else "pattern")
    assert can.parallel == (family == "gpt_neox")
    assert can.cache


def test_native_models(native_model, tiny_tokenizer):
    plain = native_model(tiny_tokenizer)
    assert plain.capabilities.scores.source == "plain"
    assert plain.capabilities.cache is False
    assert dict(plain.capabilities.checks)["forward"].startswith("not compared")
    rotary = native_model(tiny_tokenizer, positional_embedding_type="rotary", rotary_dim=8)
    assert rotary.capabilities.scores.source == "turned"
    alone = native_model(tiny_tokenizer, attn_only=True)
    assert alone.backend.point("mlp_out", 0) is None


def refused(model: ICLModel, text: str, plain=None) -> None:
    with pytest.raises(BackendError, match=f"self-check failed: .*{text}.*refused"):
        ICLModel(model.hooked, "spoiled", model.tokenizer, plain=plain)


def test_logits_that_are_not_the_plain_models(fresh_model):
    model = fresh_model("gpt2")
    model.backend.point("attn_out", 1).add_hook(lambda tensor, hook: tensor * 1.5)
    tokens = torch.tensor([[0, 5, 6, 7]])
    with torch.no_grad():
        logits = fresh_model("gpt2").forward(tokens)
    refused(model, "the hooked logits differ from those of the plain model", plain=(tokens, logits))


def test_a_hook_that_shows_something_else(fresh_model, monkeypatch):
    """A point whose hooks see 1.5 times what the block goes on with."""
    model = fresh_model("gpt2")
    point = model.backend.point("attn_out", 1)

    def lie(self, tensor):
        for handle in list(point._forward_hooks.values()):
            handle(point, (tensor,), tensor * 1.5)
        return tensor

    monkeypatch.setattr(
        type(point), "__call__", lambda self, t: lie(self, t) if self is point else torch.nn.Module.__call__(self, t)
    )
    refused(model, "resid_pre \\+ attn_out \\+ mlp_out is not resid_post in layer 1")


def test_no_way_to_the_scores(fresh_model, monkeypatch):
    """Wrong candidates for the scale, and a score hook that holds something else."""
    model = fresh_model("gpt_neo")
    monkeypatch.setattr(type(model.backend), "score_scales", lambda self: [0.3])
    refused(model, "no way of computing scores reproduces the attention pattern")


def test_a_wrong_scale_is_passed_over(fresh_model, monkeypatch):
    model = fresh_model("gpt_neo")
    monkeypatch.setattr(type(model.backend), "score_scales", lambda self: [0.3, 1.0])
    assert ICLModel(model.hooked, "again", model.tokenizer).capabilities.scores.scale == 1.0


def test_a_missing_site(fresh_model, monkeypatch):
    model = fresh_model("gpt2")
    real = type(model.backend).point
    monkeypatch.setattr(
        type(model.backend), "point", lambda self, s, n: None if (s, n) == ("z", 2) else real(self, s, n)
    )
    refused(model, "layer 2 shows no z")


def test_numbers_that_are_not_finite(fresh_model):
    model = fresh_model("gpt2")
    with torch.no_grad():
        model.parameters()[0].tensor.fill_(float("nan"))
    refused(model, "not finite")


def test_a_wrong_readout(fresh_model, monkeypatch):
    model = fresh_model("llama")
    monkeypatch.setattr(type(model.backend), "readout", lambda self, resid: self.hooked.unembed(resid))
    refused(model, "unembed\\(ln_final\\(resid_post\\)\\) of the last layer differs")


def test_a_wrong_cache_is_not_used(fresh_model, monkeypatch):
    model = fresh_model("llama")
    real = type(model.backend).prefix
    monkeypatch.setattr(type(model.backend), "prefix", lambda self, t: [(k * 1.1, v) for k, v in real(self, t)])
    again = ICLModel(model.hooked, "again", model.tokenizer)
    assert not again.capabilities.cache
    assert dict(again.capabilities.checks)["cache"].startswith("not used")


def test_passes_do_not_grow_with_depth(tiny_path, monkeypatch):
    """Forward passes of a load: as many for six layers as for three."""
    calls: list[int] = []
    real = BridgeBackend.forward
    monkeypatch.setattr(BridgeBackend, "forward", lambda self, *args, **kw: calls.append(1) or real(self, *args, **kw))
    counts = []
    for layers in (3, 6):
        calls.clear()
        load_model(tiny_path("llama", n_layers=layers))
        counts.append(len(calls))
    assert counts[0] == counts[1] <= 5


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_an_edit_that_is_dead_in_one_layer_is_found(dead, fresh_model, monkeypatch):
    """There edits go through z; were that dead as well, the model would be refused."""
    model = fresh_model("llama")
    point = model.backend.point("attn_pattern", dead)
    blind(point, monkeypatch)
    assert ICLModel(model.hooked, "again", model.tokenizer).capabilities.edits == "z"


def blind(point, monkeypatch) -> None:
    """Let hooks on a point see what passes, and change nothing."""
    real = type(point).add_hook

    def add_hook(self, hook):
        def look(tensor, *args, **kwargs):
            hook(tensor, *args, **kwargs)

        real(self, look if self is point else hook)

    monkeypatch.setattr(type(point), "add_hook", add_hook)


def test_states_that_cannot_be_written_are_found(fresh_model, monkeypatch):
    model = fresh_model("gpt2")
    point = model.backend.point("resid_pre", 1)
    blind(point, monkeypatch)
    refused(model, "a state written to resid_pre does not reach the attention of layer 1")


def test_a_cache_that_forgets_what_left_the_window_is_found(tmp_path, monkeypatch):
    """transformers' own cache for windowed layers keeps window - 1 keys; rebuilt as a plain one it is wrong."""
    from transformers import MistralConfig, MistralForCausalLM

    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = MistralConfig(vocab_size=290, intermediate_size=48, sliding_window=16, **settings)
    MistralForCausalLM(config).save_pretrained(tmp_path)
    reference.make_tokenizer().save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.capabilities.cache
    (keys, _), *_ = model.backend.prefix(torch.arange(40))
    assert keys.shape[2] == 40
    real = BridgeBackend.prefix
    monkeypatch.setattr(
        BridgeBackend, "prefix", lambda self, t: [(k[:, :, -15:], v[:, :, -15:]) for k, v in real(self, t)]
    )
    assert not ICLModel(model.hooked, "again", model.tokenizer).capabilities.cache


def test_a_bridge_of_a_refused_family_is_refused_by_name():
    from transformers import BloomConfig, BloomForCausalLM

    bridge = boot(
        BloomForCausalLM(BloomConfig(vocab_size=290, hidden_size=32, n_layer=2, n_head=4)).eval(),
        reference.make_tokenizer(),
        torch.float32,
    )
    with pytest.raises(BackendError, match=r"ALiBi.*Way out"):
        ICLModel(bridge)
