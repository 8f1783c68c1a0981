from __future__ import annotations

import pytest
import reference
import torch

from iclmech._base import BackendError
from iclmech.models import ICLModel


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
