"""Attention by parts of the prompt: it sums to one, the template is the only difference, steering moves what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech.experiments import Allocation
from iclmech.experiments._allocation import _steering
from iclmech.tasks import Task

TEXTS = [
    "fine",
    "dull film",
    "it is what it is",
    "great acting, poor story",
    "a",
    "never starts",
    "moves you",
    "the film",
]


@pytest.fixture(scope="module")
def setting(fresh_model):
    """A random model whose tokenizer has a chat template, and a task."""
    model = fresh_model("llama")
    model.tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }};{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
    records = [{"text": f"{text} {n}", "label": n % 2} for n, text in enumerate(TEXTS * 3)]
    return model, Task.from_records(records, records, template="{text}:", label_words=["a", "i"], name="small")


def test_both_templates_are_measured(setting, tmp_path):
    model, task = setting
    found = icl.attention_allocation(model, task, k=2, n_queries=6, n_contexts=2)
    assert list(found.data["template"].values) == ["without", "with"]
    np.testing.assert_allclose(found.data["allocation"].sum("part"), 1, atol=1e-5)
    for template, chat in (("without", False), ("with", True)):
        prompts = icl.build_prompts(model, task, 2, 6, 0, 2, chat=chat)
        acts = icl.capture(model, prompts, "icl", ("attn_pattern", "context_pattern"))
        own, before = acts["attn_pattern"].nan_to_num().sum(-1), acts["context_pattern"].nan_to_num()
        wanted = torch.stack([before[..., 0], before[..., 1:].sum(-1), own], -1).mean(0)
        np.testing.assert_allclose(found.data["allocation"].sel(template=template), wanted, atol=1e-5)
    assert found.claims()["claim"][0] == "The chat template takes attention away from the demonstrations"
    again = icl.load(found.save(tmp_path / "allocation.nc"))
    assert isinstance(again, Allocation)
    assert set(again.figures()) == {"allocation"}


def test_steered_heads_read_the_demonstrations_more(setting):
    model, task = setting
    prompts = icl.build_prompts(model, task, 2, 6, 0, 2)
    sites = ("attn_pattern", "context_pattern")
    steer = _steering(prompts, [(0, 1), (0, 2)], 0.1, None, 0)
    before, after = (
        icl.circuit.context_share(
            icl.circuit.role_mass(icl.capture(model, prompts, "icl", sites, interventions=i), prompts)
        )
        for i in ((), steer)
    )
    assert bool((after[:, 0, [1, 2]] > before[:, 0, [1, 2]]).all())
    torch.testing.assert_close(after[:, 0, [0, 3]], before[:, 0, [0, 3]], atol=1e-5, rtol=1e-5)


def test_one_claim_needs_a_template():
    found = icl.attention_allocation("icl-mini", "mini/sentiment", k=2, n_queries=4, n_contexts=2)
    assert list(found.data["template"].values) == ["without"]
    assert len(found.claims()) == 1
