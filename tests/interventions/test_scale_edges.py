"""Weakened edges against the pattern itself, between no change and a cut; the controls."""

from __future__ import annotations

import pytest
import torch

from iclmech.captures import capture
from iclmech.interventions import CutMeter, InterventionError, cut_edges, scale_edges

SITES = ("attn_pattern", "context_pattern", "resid_post")


def pattern(acts, layer):
    """[query, head, context + own key] of one layer."""
    return torch.cat([acts["context_pattern"][:, layer], acts["attn_pattern"][:, layer]], -1).nan_to_num()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("factor", [0.3, 2.5])
def test_attention_is_multiplied_and_normalised_again(family, factor, tiny_model, toy_prompts):
    """Of layer 1, whose inputs are as before; heads that are not meant stay."""
    model = tiny_model(family)
    prompts = toy_prompts(model, n_contexts=1)
    change = scale_edges(prompts, "y->s_q", factor, layers=1, heads=[0, 2])
    before, after = (capture(model, prompts, "icl", SITES, interventions=i) for i in ((), (change,)))
    old, new = pattern(before, 1), pattern(after, 1)
    labels = torch.zeros(old.shape[-1], dtype=torch.bool)
    for d in prompts.demonstrations:
        first = d.context_start + d.label_span[0] - 1
        labels[first : first + d.label_span[1] - d.label_span[0]] = True
    expected = torch.where(labels, factor * old, old)
    expected = expected / expected.sum(-1, keepdim=True)
    for head in range(4):
        wanted = expected if head in (0, 2) else old
        torch.testing.assert_close(new[:, head], wanted[:, head], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(new[:, 0], old[:, 0], atol=1e-4)


def test_zero_is_a_cut_and_one_is_no_change(tiny_model, toy_prompts):
    model = tiny_model("llama")
    prompts = toy_prompts(model)
    plain, cut = (capture(model, prompts, "icl", SITES, interventions=i) for i in ((), (cut_edges(prompts, "x->s"),)))
    zero, one = (capture(model, prompts, "icl", SITES, interventions=[scale_edges(prompts, "x->s", f)]) for f in (0, 1))
    torch.testing.assert_close(zero["resid_post"], cut["resid_post"], atol=0, rtol=0)
    torch.testing.assert_close(one["resid_post"], plain["resid_post"], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(cut["resid_post"], plain["resid_post"], atol=1e-4)


def test_the_control_scales_as_many_other_edges(tiny_model, toy_prompts):
    model = tiny_model("gpt2")
    prompts = toy_prompts(model)
    states, edges = [], []
    for control in (None, "random"):
        meter = CutMeter()
        change = scale_edges(prompts, "y->s_q", 0.1, control=control, seed=3, meter=meter)
        states.append(capture(model, prompts, "icl", ("resid_post",), interventions=[change])["resid_post"])
        edges.append(meter.mean_edges)
    assert edges[0] == edges[1] > 0
    assert not torch.allclose(states[0], states[1], atol=1e-4)


def test_a_negative_factor_is_refused():
    with pytest.raises(InterventionError, match="got factor=-1"):
        scale_edges(None, "x->s", -1)
