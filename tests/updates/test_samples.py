from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError

from iclmech._base import UpdateError
from iclmech.tasks import PromptSet
from iclmech.updates import Sample, cross_entropy, squared_error
from iclmech.updates._samples import digest_of, loss_of, samples_of


def prompt_set(contexts) -> PromptSet:
    return PromptSet(contexts=contexts, queries=[], bos=0, task="t", k=4, k_requested=4, seed=0)


def test_what_the_loss_counts(tiny_model, demonstrations):
    model = tiny_model("gpt2")
    label = samples_of(model, demonstrations, "label")[0]
    every = samples_of(model, demonstrations, "all")[0]
    start, stop = demonstrations[0].label_span
    assert label.positions == list(range(start - 1, stop - 1))
    assert label.terms() == cross_entropy(demonstrations[0].tokens[start:stop])
    assert every.terms() == cross_entropy(demonstrations[0].tokens[1:])
    assert every.positions == list(range(len(demonstrations[0].tokens) - 1))


def test_loss_is_the_mean_negative_log_likelihood(tiny_model, demonstrations):
    sample = samples_of(tiny_model("gpt2"), demonstrations, "label")[0]
    targets = [sample.inputs[i + 1] for i in sample.positions]
    logits = torch.randn(2, len(targets), 290, generator=torch.Generator().manual_seed(0))
    got = loss_of(logits, sample)
    for layer in range(2):
        terms = [-float(logits[layer, i].log_softmax(-1)[t]) for i, t in enumerate(targets)]
        assert float(got[layer]) == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    assert loss_of(logits.bfloat16(), sample).dtype == torch.float32


def test_prompts_context_and_list_are_the_same(tiny_model, context, demonstrations):
    model = tiny_model("gpt2")
    three = [samples_of(model, source, "label") for source in (prompt_set([context]), context, demonstrations)]
    assert len({digest_of(samples) for samples in three}) == 1
    assert [sample.inputs for sample in three[0]] == [d.tokens for d in demonstrations]


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


def test_samples_go_in_as_they_are(tiny_model):
    model = tiny_model("gpt2")
    samples = [Sample([0, 5, 6], [0, 1]), Sample(torch.tensor([0, 7]), [0])]
    assert samples_of(model, samples, "label") == samples
    assert samples[1].inputs == [0, 7]
    assert samples[1].terms() == cross_entropy([7])


def test_samples_and_demonstrations_do_not_mix(tiny_model, demonstrations):
    sample = Sample([0, 5], [0])
    with pytest.raises(UpdateError, match="pass them alone"):
        samples_of(tiny_model("gpt2"), [sample, demonstrations[0]], "label")
    with pytest.raises(UpdateError, match="leave loss out"):
        samples_of(tiny_model("gpt2"), [sample], "all")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Sample([0, 5], []), "at least one"),
        (lambda: Sample([0, 5], [2]), "from 0 to 1"),
        (lambda: Sample([0, 5], [-1]), "from 0 to 1"),
        (lambda: Sample([0, 5], [1]), "no next token"),
        (lambda: Sample(torch.zeros(2, 32), [0]), "no next token"),
        (lambda: Sample(torch.full((2, 32), torch.inf), [0], cross_entropy([1])), "not finite"),
        (lambda: Sample([0, 5], [0, 1], cross_entropy([1])), "loss for 1 positions and 2 positions"),
    ],
)
def test_bad_samples_are_refused(make, text):
    with pytest.raises(UpdateError, match=text):
        make()


@pytest.mark.parametrize("shape", [(32,), (1, 2, 32)])
def test_embedding_rows_have_two_axes(shape):
    with pytest.raises((UpdateError, TypeCheckError)):
        Sample(torch.zeros(shape), [0], cross_entropy([1]))


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (Sample(torch.zeros(2, 16), [0], cross_entropy([1])), "width 16; the model's are 32 wide"),
        (Sample([0, 100_000], [0]), "vocabulary"),
        (Sample([0] * 300, [0]), "window holds 256"),
    ],
)
def test_samples_that_do_not_fit_the_model_are_refused(sample, text, tiny_model):
    with pytest.raises(UpdateError, match=text):
        samples_of(tiny_model("gpt2"), [sample], "label")


def test_rows_of_one_length_go_through_together_and_teach_the_same() -> None:
    import iclmech as icl
    from iclmech.updates._samples import batches_of

    model = icl.load_model("fn-linear")
    rows = torch.randn(3, 2, 64, generator=torch.Generator().manual_seed(0))
    alike = [Sample(row, [1], squared_error([float(n)], 6)) for n, row in enumerate(rows)]
    mixed = [*alike[:2], Sample(torch.cat([rows[2], rows[0]]), [1], squared_error([2.0], 6))]  # the same, with a tail
    assert [len(batch) for batch in batches_of(alike)] == [3]
    assert len(batches_of(mixed)) == 3
    for method in (icl.gradient_descent, icl.layer_causal_gd):
        one, other = (method(model, s, lr=0.01, batch="full", epochs=3) for s in (alike, mixed))
        for name, delta in one.deltas.items():
            rounding = 1e-7  # all there is of a key bias's gradient
            assert (delta - other.deltas[name]).norm() <= 1e-4 * delta.norm() + rounding
