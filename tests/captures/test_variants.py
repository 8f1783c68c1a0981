"""Many edits of the same prompts in one run against a capture for each; what is shared is run once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import _paths, _twin_run, _variants, capture, capture_variants
from iclmech.interventions import add, cut_edges, graft, replace, scale, zero

SITES = ("resid_pre", "resid_post", "attn_out", "mlp_out", "z", "logits")


def variants_of(model: Any, acts: Any) -> list[Any]:
    push = torch.randn(32, generator=torch.Generator().manual_seed(0))
    heads = [zero("z", layers=n, heads=n + 1, at="s_q") for n in range(3)]
    return [
        *heads,
        (),
        add("resid_post", push, layers=2, at=-1),
        add("resid_pre", push, layers=0, at="query"),
        [add("resid_post", push, layers=0, at=-1), scale("mlp_out", 0.5, layers=2, at="s_q")],
        replace("attn_out", push, layers=1, at=[-1, -2]),
        graft({1: acts["z"][:, 1]}, "z", heads=[1, 2]),
    ]


@pytest.mark.parametrize(
    ("family", "setting"), [("gpt2", "icl"), ("gpt_neox", "icl"), ("llama", "icl"), ("llama", "zs"), ("gpt_neo", "icl")]
)
def test_equals_a_capture_for_every_variant(family, setting, tiny_model, prompts_for):
    """Label words of one and of three tokens, two contexts, queries of mixed length; GPT-Neo has no twin."""
    model = tiny_model(family)
    prompts = prompts_for(model, n_queries=4, n_contexts=2)
    other = capture(model, prompts, "zs" if setting == "icl" else "icl", ("z",))
    variants = variants_of(model, other)
    found = capture_variants(model, prompts, variants, setting, SITES, layers=[2, 0])
    assert found.label_scores.shape == (4, len(variants), 2)
    for v, change in enumerate(variants):
        changes = list(change) if isinstance(change, list | tuple) else [change]
        alone = capture(model, prompts, setting, SITES, layers=[2, 0], interventions=changes, path="uncached")
        torch.testing.assert_close(found.label_scores[:, v], alone.label_scores, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.target_scores[:, v], alone.target_scores, atol=1e-5, rtol=1e-5)
        assert torch.equal(found.target_ranks[:, v], alone.target_ranks)
        for site in SITES:
            torch.testing.assert_close(found[site][:, v], alone[site], atol=2e-5, rtol=1e-5, msg=f"{site} {v}")


def test_the_prefix_is_encoded_once_for_all_variants(tiny_model, prompts_for, monkeypatch):
    model, encoded = tiny_model("llama"), []
    prompts = prompts_for(model, n_contexts=2)
    variants = [zero("z", layers=n, heads=h, at=-1) for n in range(3) for h in range(4)]
    capture_variants(model, prompts, variants)
    real = _twin_run.FastRun.__init__
    monkeypatch.setattr(_twin_run.FastRun, "__init__", lambda s, *a: encoded.append(a[2].prefix) or real(s, *a))
    capture_variants(model, prompts, variants)
    assert encoded == [context.tokens for context in prompts.contexts]


def test_variants_that_touch_the_demonstrations_run_alone_beside_the_others(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    variants = [zero("z", layers=1, at="s_q"), zero("z", layers=1, at="y"), cut_edges(None, "y->s_q", layers=[1])]
    found = capture_variants(model, prompts, variants)
    for v, change in enumerate(variants):
        alone = capture(model, prompts, "icl", (), interventions=[change], path="uncached")
        torch.testing.assert_close(found.label_scores[:, v], alone.label_scores, atol=1e-5, rtol=1e-5)


def test_small_chunks_change_nothing(tiny_model, prompts_for, monkeypatch):
    model = tiny_model("qwen2")
    prompts = prompts_for(model)
    variants = variants_of(model, capture(model, prompts, "zs", ("z",)))
    whole = capture_variants(model, prompts, variants, sites=("resid_post",))
    monkeypatch.setitem(_twin_run._TOKENS, "cpu", 11)
    some = capture_variants(model, prompts, variants, sites=("resid_post",))
    torch.testing.assert_close(some.label_scores, whole.label_scores, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(some["resid_post"], whole["resid_post"], atol=1e-5, rtol=1e-5)


def test_matched_positions(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    change = zero("mlp_out", layers=0, at=-1)
    found = capture_variants(model, prompts, [change], "zs", match_positions=True)
    alone = capture(model, prompts, "zs", (), interventions=[change], match_positions=True, path="uncached")
    torch.testing.assert_close(found.label_scores[:, 0], alone.label_scores, atol=1e-5, rtol=1e-5)


def test_refusals(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    with pytest.raises(CaptureError, match="got no variant"):
        capture_variants(model, prompts, [])
    with pytest.raises(CaptureError, match="'attn_scores'; expected at least one variant"):
        capture_variants(model, prompts, [()], sites=("attn_scores",))
    with pytest.raises(CaptureError, match="path='fast' is not possible"):
        capture_variants(model, prompts, [zero("q", layers=0, at=-1)], path="fast")
    with pytest.raises(CaptureError, match="'z' was not captured"):
        capture_variants(model, prompts, [()])["z"]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_the_twin_is_found_right(family, tiny_model):
    """Else variants run alone, and equality says nothing about the quick way."""
    model = tiny_model(family)
    twin = _paths.fast_twin(model)
    for site in ("resid_pre", "resid_post", "attn_out", "mlp_out", "z"):
        assert _variants._difference(model, twin, site) == "", site
