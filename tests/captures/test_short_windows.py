"""Families whose layers look back over 16 tokens, behind a prefix of 42: every path against prompts run whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reference
import torch

from iclmech._base import CaptureError
from iclmech.captures import Row, capture, iter_run
from iclmech.models import ICLModel, load_model

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "sliding_window": 16,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
MORE: dict[str, dict[str, Any]] = {
    "MistralConfig": {},
    "Starcoder2Config": {},
    "Olmo3Config": {},
    "Gemma3TextConfig": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "Qwen2Config": {"use_sliding_window": True, "max_window_layers": 1},
    "MixtralConfig": {"num_local_experts": 2, "num_experts_per_tok": 1},
    "Phi3Config": {},
    "Exaone4Config": {"sliding_window_pattern": 2},
}
PREFIX = [0, *range(20, 61)]
ROWS = [Row([5, 9, 70, 33], (3,)), Row([80], (0,)), Row([11, 12], (1,))]


def make(kind: str, path: Path) -> ICLModel:
    import transformers

    tokenizer = reference.make_tokenizer()
    config = getattr(transformers, kind)(vocab_size=len(tokenizer), **SMALL, **MORE[kind])
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return load_model(str(path))


@pytest.mark.parametrize("kind", MORE)
def test_every_path_equals_whole_prompts(kind, tmp_path, prompts_for):
    model = make(kind, tmp_path)
    assert 16 in model.backend.local_windows()
    sites = ("resid_post", "attn_out", "attn_scores")
    (whole,) = iter_run(model, PREFIX, ROWS, sites, path="uncached")
    for path in ("auto", "cached"):
        (chunk,) = iter_run(model, PREFIX, ROWS, sites, path=path)
        for site in sites:
            a, b = chunk.values[site], whole.values[site]
            assert a.shape == b.shape
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, equal_nan=True)
    short = [Row(row.tokens, row.at) for row in ROWS]
    (cached,) = iter_run(model, PREFIX[:9], short, ("resid_post",), path="cached")
    (uncached,) = iter_run(model, PREFIX[:9], short, ("resid_post",), path="uncached")
    torch.testing.assert_close(cached.values["resid_post"], uncached.values["resid_post"], atol=1e-5, rtol=1e-5)
    prompts = prompts_for(model, k=4)
    assert len(prompts.context_tokens) > 16
    acts = [capture(model, prompts, "icl", path=path) for path in ("auto", "uncached")]
    torch.testing.assert_close(acts[0].label_scores, acts[1].label_scores, atol=1e-5, rtol=1e-5)


def test_a_cache_that_keeps_everything_is_used(tiny_model):
    """GPT-Neo's window is 6 tokens, and its cache forgets none."""
    model = tiny_model("gpt_neo")
    cached, whole = (next(iter_run(model, PREFIX, ROWS, ("resid_post",), path=p)) for p in ("cached", "uncached"))
    torch.testing.assert_close(cached.values["resid_post"], whole.values["resid_post"], atol=1e-5, rtol=1e-5)


def test_a_cache_that_forgets_is_found_out(monkeypatch, tmp_path):
    """Keys that lie further back than the window are thrown away, as most caches of such layers do."""
    model = make("MistralConfig", tmp_path)
    backend = type(model.backend)
    real = backend.prefix
    forgetful = lambda self, tokens: [(k[:, :, -16:], v[:, :, -16:]) for k, v in real(self, tokens)]  # noqa: E731
    monkeypatch.setattr(backend, "prefix", forgetful)
    with pytest.raises(CaptureError, match="shorter than the prompt"):
        list(iter_run(model, PREFIX, ROWS, ("resid_post",), path="cached"))
    (auto,), (whole,) = (iter_run(model, PREFIX, ROWS, ("resid_post",), path=p) for p in ("auto", "uncached"))
    torch.testing.assert_close(auto.values["resid_post"], whole.values["resid_post"], atol=1e-5, rtol=1e-5)
