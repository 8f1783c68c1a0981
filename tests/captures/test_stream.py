from __future__ import annotations

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import _twin_run as _fast, capture, estimate_memory, iter_capture
from iclmech.updates import gradient_descent

SITES = ("attn_out", "attn_scores", "context_scores", "logits")


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo"])
@pytest.mark.parametrize("position", ["prediction", "label"])
def test_parts_make_up_the_whole(family, position, tiny_model, prompts_for):
    model = tiny_model(family)
    prompts = prompts_for(model, n_contexts=2)
    sites = [site for site in SITES if site != "context_scores"]  # its width is that of the contexts in a part
    whole = capture(model, prompts, "icl", sites, position)
    parts = list(iter_capture(model, prompts, "icl", sites, position, size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    order = torch.tensor([j for part in parts for j in part.meta["queries"]])
    assert [prompts.queries[j].context for j in order] == [0, 0, 0, 0, 1, 1, 1]
    for site in sites:
        joined = torch.cat([part[site] for part in parts])
        assert torch.allclose(joined, whole[site][order], atol=2e-5, equal_nan=True)
    assert torch.allclose(torch.cat([p.label_scores for p in parts]), whole.label_scores[order], atol=1e-5)


def test_demonstrations_part_by_part(tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model, n_contexts=2)
    whole = capture(model, prompts, "icl", ("resid_post",), "labels")
    for part in iter_capture(model, prompts, "icl", ("resid_post",), "labels", size=3):
        assert torch.allclose(part["resid_post"], whole["resid_post"][part.meta["queries"]], atol=1e-6)


def test_every_context_is_encoded_once(tiny_model, prompts_for, monkeypatch):
    model, encoded = tiny_model("gpt2"), []
    real = _fast.FastRun.__init__
    monkeypatch.setattr(
        _fast.FastRun,
        "__init__",
        lambda self, m, t, job, layers: encoded.append(job.prefix) or real(self, m, t, job, layers),
    )
    prompts = prompts_for(model, n_contexts=2, words=("positive", "a"))
    list(iter_capture(model, prompts, "icl", ("attn_out",), size=2))
    assert encoded == [context.tokens for context in prompts.contexts]


def test_interventions_are_told_the_number_in_the_whole_set(tiny_model, prompts_for):
    model, told = tiny_model("gpt2"), []

    def note(model, layout):
        told.extend(q for q in layout.queries if q is not None)
        return []

    list(iter_capture(model, prompts_for(model), "icl", (), size=3, interventions=[note]))
    assert sorted(set(told)) == list(range(7))


def test_refusals(fresh_model, prompts_for):
    model = fresh_model("gpt2")
    prompts = prompts_for(model)
    with pytest.raises(CaptureError, match="got size=0"):
        next(iter_capture(model, prompts, size=0))
    with pytest.raises(CaptureError, match="got the site 'x'"):
        next(iter_capture(model, prompts, sites=("x",)))
    update = gradient_descent(model, prompts, lr=0.1)
    parts = iter_capture(model, prompts, "zs", (), size=3)
    next(parts)
    with update.applied(model), pytest.raises(CaptureError, match="between two parts"):
        next(parts)


@pytest.mark.parametrize("setting", ["icl", "zs"])
def test_outputs_are_foreseen_exactly(setting, tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model)
    sites = ("attn_out", "attn_scores", "context_scores", "q", "v", "logits")
    acts = capture(model, prompts, setting, sites)
    held = [*acts.data.values(), acts.label_scores, acts.target_scores, acts.target_ranks]
    estimate = estimate_memory(model, prompts, setting, sites)
    assert estimate.outputs == sum(tensor.numel() * tensor.element_size() for tensor in held)
    assert estimate.weights == sum(parameter.tensor.numel() * 4 for parameter in model.parameters("all"))
    assert estimate.total == estimate.weights + estimate.outputs + estimate.working
    assert "cached path" in str(estimate)  # q and v are hooked
    part = estimate_memory(model, prompts, setting, sites, size=2)
    assert part.outputs < estimate.outputs
    assert part.working == estimate.working


def test_the_way_counts(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    works = [estimate_memory(model, prompts, path=path).working for path in ("fast", "uncached")]
    assert works[0] > 0
    assert works[1] > 0
    assert estimate_memory(model, prompts, sites=("attn_out",), position="labels").outputs > 0
