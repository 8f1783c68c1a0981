"""Gradients of the right answer's log-probability in states at the prediction position, against plain autograd and differences."""

from __future__ import annotations

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import _target_gradients, capture, capture_variants, target_gradients
from iclmech.interventions import add


@pytest.mark.parametrize(
    ("family", "setting"), [("llama", "icl"), ("gpt2", "icl"), ("qwen2", "zs"), ("gpt_neo", "icl")]
)
def test_they_are_those_of_the_plain_model(family, setting, tiny_model, tiny_hf, prompts_for):
    """By transformers alone: a zero added to the input of the output projection at the last token."""
    model, plain = tiny_model(family), tiny_hf(family)
    prompts = prompts_for(model, n_queries=5, n_contexts=2)
    found = target_gradients(model, prompts, setting)
    for j, query in enumerate(prompts.queries):
        context = prompts.contexts[query.context]
        before = context.tokens if setting == "icl" else [prompts.bos]
        gradients, states, score = by_transformers(
            plain, family, [*before, *query.tokens], context.label_tokens[query.label][0]
        )
        torch.testing.assert_close(found.gradients[j].flatten(1), gradients, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.states[j].flatten(1), states, atol=1e-5, rtol=1e-4)
        assert float(found.log_probs[j]) == pytest.approx(score, abs=1e-5)


def by_transformers(plain, family, tokens, target):
    """(gradients, states [layer, head · d_head], log-probability) of one prompt."""
    names = {
        "llama": "self_attn.o_proj",
        "qwen2": "self_attn.o_proj",
        "gpt2": "attn.c_proj",
        "gpt_neo": "attn.attention.out_proj",
    }
    modules = [m for name, m in plain.named_modules() if name.endswith(names[family])]
    leaves = [torch.zeros(32, requires_grad=True) for _ in modules]
    seen = {}

    def hook(n):
        def before(module, args):
            states = args[0].clone()
            seen[n] = states[0, -1].detach().clone()
            states[0, -1] = states[0, -1] + leaves[n]
            return (states, *args[1:])

        return before

    handles = [module.register_forward_pre_hook(hook(n)) for n, module in enumerate(modules)]
    score = torch.log_softmax(plain(torch.tensor([tokens])).logits[0, -1], -1)[target]
    gradients = torch.autograd.grad(score, leaves)
    for handle in handles:
        handle.remove()
    return torch.stack(gradients), torch.stack([seen[n] for n in range(len(modules))]), float(score.detach())


@pytest.mark.parametrize("site", ["resid_post", "mlp_out", "q"])
def test_they_are_the_slope_of_small_edits(site, tiny_model, prompts_for):
    """Also where no twin can make the edit."""
    model = tiny_model("llama")
    prompts = prompts_for(model)
    found = target_gradients(model, prompts, site=site)
    push = torch.randn(found.gradients.shape[2:], generator=torch.Generator().manual_seed(0))
    for layer in range(3):
        edits = [add(site, sign * 1e-2 * push, layers=layer, at=-1) for sign in (1, -1)]
        scores = capture_variants(model, prompts, edits, first_token=True).target_scores
        slope = (scores[:, 0] - scores[:, 1]) / 2e-2
        expected = (found.gradients[:, layer] * push).flatten(1).sum(-1)
        torch.testing.assert_close(slope, expected, atol=3e-3, rtol=2e-2)


def test_the_quick_way_is_taken_and_leaves_no_gradient_behind(tiny_model, prompts_for, monkeypatch):
    model = tiny_model("llama")
    prompts = prompts_for(model)
    slow = target_gradients(model, prompts, path="uncached")
    taken = []
    real = _target_gradients.variant_chunks
    monkeypatch.setattr(_target_gradients, "variant_chunks", lambda *a: taken.append(1) or real(*a))
    quick = target_gradients(model, prompts)
    assert taken
    torch.testing.assert_close(quick.gradients, slow.gradients, atol=1e-5, rtol=1e-4)
    assert not quick.states.requires_grad
    assert all(p.grad is None for p in model.hooked.parameters())


def test_first_tokens_alone_are_scored_where_asked(tiny_model, prompts_for):
    """One label word has three tokens."""
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    first = capture_variants(model, prompts, [()], sites=("logits",), first_token=True)
    log_probs = torch.log_softmax(first["logits"][:, 0], -1)
    tokens = torch.tensor([word[0] for word in prompts.contexts[0].label_tokens])
    torch.testing.assert_close(first.label_scores[:, 0], log_probs[:, tokens], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(first.label_scores[:, 0], capture(model, prompts).label_scores)


def test_an_unknown_answer_is_refused(tiny_model, prompts_for):
    from dataclasses import replace

    prompts = prompts_for(tiny_model("gpt2"))
    blind = replace(prompts, queries=[replace(q, label=None, target_tokens=None) for q in prompts.queries])
    with pytest.raises(CaptureError, match="has no answer"):
        target_gradients(tiny_model("gpt2"), blind)
