"""Priors against prompts put together by hand, and what taking them out must and must not change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import iclmech as icl
from iclmech.analysis import AnalysisError
from iclmech.calibration import CONTENT_FREE, batch_prior, calibrated, label_biases, prior, random_inputs


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    return icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=40, n_contexts=2, seed=0)


def by_hand(model: icl.ICLModel, prompts: icl.PromptSet, before: list[int], text: str, c: int) -> torch.Tensor:
    """Probabilities of the label words behind a review, from one plain pass over a prompt put together here."""
    pieces = ["Review:", " " + text, "\nSentiment:"]  # the space of "Review: " stays where the text is empty
    tokens = before + [token for piece in pieces for token in model.tokenize(piece)]
    with torch.no_grad():
        logits = model.hooked(torch.tensor([tokens]))[0, -1].double()
    words = [ids[0] for ids in prompts.contexts[c].label_tokens]
    assert all(len(ids) == 1 for ids in prompts.contexts[c].label_tokens)
    return logits.softmax(-1)[words]


def test_the_contextual_prior_is_the_mean_probability_over_inputs_without_content(
    model: icl.ICLModel, prompts: icl.PromptSet
) -> None:
    for setting in ("icl", "zs"):
        found = prior(model, prompts, "cc", setting=setting)
        assert found.shape == (2, 2)
        for c, context in enumerate(prompts.contexts):
            before = context.tokens if setting == "icl" else [prompts.bos]
            mean = torch.stack([by_hand(model, prompts, before, text, c) for text in CONTENT_FREE]).mean(0)
            torch.testing.assert_close(found[c].double(), mean / mean.sum(), atol=1e-5, rtol=1e-5)


def test_the_domain_prior_is_the_mean_distribution_over_random_words(
    model: icl.ICLModel, prompts: icl.PromptSet
) -> None:
    found = prior(model, prompts, "dc", n=5, seed=3)
    texts = [d.text for context in prompts.contexts for d in context.demonstrations]
    inputs = [made["text"] for made in random_inputs(texts, ["text"], 5, 3)]
    for c, context in enumerate(prompts.contexts):
        each = torch.stack([by_hand(model, prompts, context.tokens, text, c) for text in inputs])
        mean = (each / each.sum(-1, keepdim=True)).mean(0)
        torch.testing.assert_close(found[c].double(), mean, atol=1e-5, rtol=1e-5)
    assert not torch.equal(found, prior(model, prompts, "dc", n=5, seed=4))


def test_the_batch_prior_is_the_mean_over_the_queries_of_each_context(
    model: icl.ICLModel, prompts: icl.PromptSet
) -> None:
    acts = icl.capture(model, prompts, "icl", sites=())
    found = prior(model, prompts, "bc")
    for c in (0, 1):
        own = torch.tensor([q.context == c for q in prompts.queries])
        torch.testing.assert_close(found[c], acts.label_probs[own].mean(0))
    logs = batch_prior(acts, logs=True)
    own = acts.label_scores[[q.context == 0 for q in prompts.queries]]
    torch.testing.assert_close(logs[0], own.log_softmax(-1).mean(0).softmax(-1))
    assert not torch.allclose(logs, found)


def acts_of(scores: torch.Tensor, contexts: list[int] | None = None, labels: list[int | None] | None = None):
    n = len(scores)
    meta = {"contexts": contexts or [0] * n, "labels": labels or [None] * n}
    return icl.Activations({}, {}, scores, torch.full((n,), torch.nan), "icl", (), meta)


def test_cross_fitting_leaves_a_query_out_of_its_own_prior() -> None:
    scores = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    contexts = [0] * 32 + [1] * 32
    found = batch_prior(acts_of(scores, contexts), cross_fit=True)
    assert found.shape == (64, 3)
    torch.testing.assert_close(found[0], scores[1:32:2].softmax(-1).mean(0))
    torch.testing.assert_close(found[33], scores[32::2].softmax(-1).mean(0))
    changed = scores.clone()
    changed[5] += torch.tensor([5.0, 0, 0])
    again = batch_prior(acts_of(changed, contexts), cross_fit=True)
    assert torch.equal(found[5], again[5])
    assert not torch.equal(found[4], again[4])


def test_a_uniform_prior_changes_nothing() -> None:
    acts = acts_of(torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).log_softmax(-1))
    same = calibrated(acts, torch.full((1, 4), 0.25))
    torch.testing.assert_close(same.label_probs, acts.label_probs)
    assert torch.equal(same.predictions, acts.predictions)


def test_a_prior_is_taken_from_the_scores_of_its_own_context() -> None:
    scores = torch.randn(4, 2, generator=torch.Generator().manual_seed(2))
    acts = acts_of(scores, contexts=[1, 0, 1, 0], labels=[0, 1, None, 0])
    found = calibrated(acts, torch.tensor([[0.9, 0.1], [0.3, 0.7]]))
    expected = scores - torch.tensor([[0.3, 0.7], [0.9, 0.1], [0.3, 0.7], [0.9, 0.1]]).log()
    torch.testing.assert_close(found.label_scores, expected)
    acts = replace(acts, target_scores=torch.tensor([scores[0, 0], scores[1, 1], 7.0, scores[3, 0]]))
    targets = calibrated(acts, torch.tensor([[0.9, 0.1], [0.3, 0.7]])).target_scores
    torch.testing.assert_close(targets, torch.tensor([expected[0, 0], expected[1, 1], 7.0, expected[3, 0]]))
    by_query = torch.rand(4, 2) + 0.1
    torch.testing.assert_close(calibrated(acts, by_query).label_scores, scores - by_query.log())


def test_what_was_measured_without_content_is_uniform_afterwards(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    before = prior(model, prompts, "dc", n=1)
    assert (before - 0.5).abs().min() > 0.01
    acts = acts_of(before.log(), contexts=[0, 1])
    torch.testing.assert_close(calibrated(acts, before).label_probs, torch.full((2, 2), 0.5))


def test_a_planted_bias_is_removed() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(200) % 2
    fair = 2.0 * torch.nn.functional.one_hot(labels, 2) + torch.randn(200, 2, generator=generator)
    biased = acts_of(fair + torch.tensor([4.0, 0.0]))
    assert icl.metrics.answer_share(biased) > 0.85
    found = calibrated(biased, batch_prior(biased))
    assert icl.metrics.accuracy(found, labels) > icl.metrics.accuracy(biased, labels) + 0.2
    assert icl.metrics.ece(found, labels) < icl.metrics.ece(biased, labels) / 2


def test_the_three_biases_by_hand() -> None:
    vanilla, context = torch.tensor([[0.7, 0.3], [0.5, 0.5]]), torch.tensor([[0.7, 0.3], [0.9, 0.1]])
    found = label_biases(vanilla, context, torch.tensor([[0.2, 0.8], [0.9, 0.1]]))
    assert found.vanilla.tolist() == pytest.approx([0.2, 0])
    assert found.context.tolist() == pytest.approx([0, 0.4])
    assert found.domain.tolist() == pytest.approx([0.5, 0])
    four = torch.tensor([[1.0, 0, 0, 0]])
    assert label_biases(four, four, four).vanilla.item() == pytest.approx(0.75)


def test_random_inputs_draw_from_the_words_of_each_field() -> None:
    texts = ["The SOUP is cold\nit is hot", "soup\nit is"]
    made = random_inputs(texts, ["claim", "other"], 50, 0)
    claims = [inputs["claim"].split() for inputs in made]
    assert {word for words in claims for word in words} == {"the", "soup", "is", "cold", "."}
    assert {len(words) for words in claims} == {4}, "int(mean of 4 and 1) + 1 words, and a full stop"
    assert {word for inputs in made for word in inputs["other"].split()} == {"it", "is", "hot", "."}
    one = random_inputs(texts, ["text"], 2, 0)
    assert len(one[0]["text"].split()) == int((7 + 3) / 2) + 2
    assert one == random_inputs(texts, ["text"], 2, 0)


def test_what_cannot_be_calibrated_is_refused(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    few = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=0, n_queries=8)
    with pytest.raises(AnalysisError, match="8 queries for one prior"):
        prior(model, few, "bc")
    with pytest.raises(icl.ICLMechError, match="give texts="):
        prior(model, few, "dc")
    assert prior(model, few, "dc", texts=["a fine meal", "a dull film"]).shape == (1, 2)
    with pytest.raises(icl.ICLMechError, match="template"):
        prior(model, replace(prompts, meta={}), "cc")
    acts = icl.capture(model, few, "zs", sites=())
    with pytest.raises(AnalysisError, match=r"\(1, 3\).*one column for each label"):
        calibrated(acts, torch.full((1, 3), 1 / 3))
    with pytest.raises(AnalysisError, match="positive"):
        calibrated(acts, torch.tensor([[1.0, 0.0]]))
