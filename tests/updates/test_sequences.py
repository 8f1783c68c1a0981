from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from iclmech._base import UpdateError
from iclmech.tasks import PromptSet
from iclmech.updates._samples import loss_of, samples_of


def prompt_set(contexts) -> PromptSet:
    return PromptSet(contexts=contexts, queries=[], bos=0, task="t", k=4, k_requested=4, seed=0)


def test_what_the_loss_counts(tiny_model, demonstrations):
    model = tiny_model("gpt2")
    label = samples_of(model, demonstrations, "label")[0]
    every = samples_of(model, demonstrations, "all")[0]
    start, stop = demonstrations[0].label_span
    assert (label.start, label.stop) == (start, stop)
    assert label.targets("cpu").tolist() == demonstrations[0].tokens[start:stop]
    assert every.targets("cpu").tolist() == demonstrations[0].tokens[1:]
    assert every.positions == slice(0, len(demonstrations[0].tokens) - 1)


def test_loss_is_the_mean_negative_log_likelihood(tiny_model, demonstrations):
    sample = samples_of(tiny_model("gpt2"), demonstrations, "label")[0]
    logits = torch.randn(2, sample.stop - sample.start, 290, generator=torch.Generator().manual_seed(0))
    got = loss_of(logits, sample)
    for layer in range(2):
        terms = [-float(logits[layer, i].log_softmax(-1)[t]) for i, t in enumerate(sample.targets("cpu"))]
        assert float(got[layer]) == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert loss_of(logits.bfloat16(), sample).dtype == torch.float32


def test_prompts_context_and_list_are_the_same(tiny_model, context, demonstrations):
    model = tiny_model("gpt2")
    three = [samples_of(model, source, "label") for source in (prompt_set([context]), context, demonstrations)]
    assert three[0] == three[1] == three[2]
    assert [sample.tokens for sample in three[0]] == [d.tokens for d in demonstrations]


def test_several_contexts_are_an_error(tiny_model, context):
    with pytest.raises(UpdateError, match=r"2 contexts.*prompts.contexts\[c\]"):
        samples_of(tiny_model("gpt2"), prompt_set([context, context]), "label")


def test_no_demonstrations_are_an_error(tiny_model, context_of):
    with pytest.raises(UpdateError, match="k=0"):
        samples_of(tiny_model("gpt2"), context_of([]), "label")


@pytest.mark.parametrize("span", [(5, 5), (0, 2), (10, 99)])
def test_bad_label_span_is_an_error(span, tiny_model, demonstrations):
    with pytest.raises(UpdateError, match="label span"):
        samples_of(tiny_model("gpt2"), [replace(demonstrations[0], label_span=span)], "label")


def test_too_long_for_the_window_is_an_error(tiny_model, demonstrations):
    long = replace(demonstrations[0], tokens=[0] * 300, label_span=(298, 300))
    with pytest.raises(UpdateError, match="demonstration 0 has 300 tokens; the model's window holds 256"):
        samples_of(tiny_model("gpt2"), [long], "all")
