from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import reference
import torch

from iclmech._base import CaptureError
from iclmech.analysis import metrics
from iclmech.analysis._states import AnalysisError
from iclmech.captures import capture
from iclmech.tasks import Task, build_prompts
from iclmech.updates import gradient_descent

SITES = ("attn_out", "resid_post", "attn_scores", "attn_pattern", "context_scores", "context_pattern", "logits")


def close(a, b, tol=2e-5) -> bool:
    return bool((a - b).abs().max() <= tol * (1 + b.abs().max()))


@pytest.mark.parametrize("setting", ["icl", "zs"])
@pytest.mark.parametrize("family", reference.FAMILIES)
def test_equals_the_second_implementation(family, setting, tiny_model, prompts_for, recorded, word_score):
    model = tiny_model(family)
    prompts = prompts_for(model, n_contexts=2)
    acts = capture(model, prompts, setting, SITES)
    assert acts.setting == setting
    assert acts.layers == (0, 1, 2)
    longest = max(len(query.tokens) for query in prompts.queries)
    assert acts["attn_scores"].shape == (7, 3, 4, longest)
    for j, query in enumerate(prompts.queries):
        before = prompts.contexts[query.context].tokens if setting == "icl" else [prompts.bos]
        tokens, own = [*before, *query.tokens], len(query.tokens)
        expected = recorded(family, tokens, own)
        for site in ("attn_out", "resid_post"):
            assert close(acts[site][j], expected[site])
        assert close(acts["logits"][j], expected["logits"])
        compare_attention(acts, j, expected, own, len(before), local=family == "gpt_neo")
        for label, word in enumerate(prompts.contexts[query.context].label_tokens):
            assert float(acts.label_scores[j, label]) == pytest.approx(word_score(family, tokens, word), abs=2e-4)
        assert acts.target_scores[j] == acts.label_scores[j, query.label]


def compare_attention(acts, j, expected, own, before, local) -> None:
    """Own keys right-aligned, context keys from column 0, NaN elsewhere."""
    for site, key in (("attn_scores", "scores"), ("attn_pattern", "pattern")):
        assert bool(torch.isnan(acts[site][j, ..., : acts[site].shape[-1] - own]).all())
        agree(acts[site][j, ..., -own:], expected[key], local)
    for site, key in (("context_scores", "all_scores"), ("context_pattern", "all_patterns")):
        assert bool(torch.isnan(acts[site][j, ..., before:]).all())
        agree(acts[site][j, ..., :before], expected[key][..., :before], local)


def agree(mine, expected, local) -> None:
    seen = ~torch.isnan(mine)
    assert local or bool(seen.all())  # only a local window hides keys
    assert bool(seen[0].all())  # GPT-Neo's first layer is global
    assert close(mine[seen], expected[seen])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_label_position(family, tiny_model, prompts_for, recorded):
    model = tiny_model(family)
    prompts = prompts_for(model)
    acts = capture(model, prompts, "icl", ("attn_out", "attn_scores", "context_scores"), position="label")
    at_prediction = capture(model, prompts, "icl", ())
    assert acts["attn_scores"].shape[-1] == max(len(query.tokens) for query in prompts.queries) + 1
    for j, query in enumerate(prompts.queries):
        first = prompts.contexts[0].label_tokens[0][0]
        expected = recorded(family, [*prompts.context_tokens, *query.tokens, first], len(query.tokens) + 1)
        assert close(acts["attn_out"][j], expected["attn_out"])
        assert close(acts["attn_scores"][j, ..., -len(query.tokens) - 1 :], expected["scores"])
    assert torch.allclose(acts.label_scores, at_prediction.label_scores, atol=1e-5)  # still at the prediction position


@pytest.mark.parametrize("position", ["forerunners", "labels"])
def test_demonstration_positions(position, tiny_model, prompts_for, recorded):
    model = tiny_model("qwen2")
    prompts = prompts_for(model, n_contexts=2)
    acts = capture(model, prompts, "icl", ("resid_post", "context_scores", "z"), position=position)
    assert acts["resid_post"].shape == (7, 3, 3, 32)
    assert acts.dims["context_scores"] == ("query", "layer", "head", "position", "context")
    assert acts.dims["z"] == ("query", "layer", "position", "head", "d_head")
    for j, query in enumerate(prompts.queries):
        context = prompts.contexts[query.context]
        for n, demonstration in enumerate(context.demonstrations):
            label = demonstration.context_start - 1 + demonstration.label_span[0]
            at = label if position == "labels" else label - 1
            expected = recorded("qwen2", context.tokens, len(context.tokens), at)
            assert close(acts["resid_post"][j, :, n], expected["resid_post"])
            scores = acts["context_scores"][j, :, :, n]
            assert close(scores[..., : at + 1], expected["all_scores"][..., : at + 1])
            assert bool(torch.isnan(scores[..., at + 1 :]).all())


def test_a_function_chooses_the_position(tiny_model, prompts_for, recorded):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    acts = capture(model, prompts, "icl", ("resid_post", "attn_scores"), position=lambda query, context: 1)
    query = prompts.queries[3]
    expected = recorded("gpt2", prompts.sequence(3), len(query.tokens), len(prompts.context_tokens) + 1)
    assert close(acts["resid_post"][3], expected["resid_post"])
    own = acts["attn_scores"][3, ..., -len(query.tokens) :]
    assert close(own[..., :2], expected["scores"][..., :2])
    assert bool(torch.isnan(own[..., 2:]).all())  # what lies ahead of the recorded token
    assert acts.meta["position"] == "<lambda>"


def test_layers_and_their_order(tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model)
    everything = capture(model, prompts, "icl", ("attn_out", "attn_scores"))
    some = capture(model, prompts, "icl", ("attn_out", "attn_scores"), layers=[2, -3])
    assert some.layers == (2, 0)
    assert torch.allclose(some["attn_out"], everything["attn_out"][:, [2, 0]], atol=1e-6)
    assert torch.allclose(some.label_scores, everything.label_scores, atol=1e-5)


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_matched_positions(family, tiny_model, tiny_hf, prompts_for):
    """A zero-shot query at the positions that it has behind its demonstrations, and BOS at 0, still seen."""
    model, plain = tiny_model(family), tiny_hf(family)
    prompts = prompts_for(model)
    acts = capture(model, prompts, "zs", ("resid_post", "logits"), match_positions=True)
    first = len(prompts.context_tokens)
    for j, query in enumerate(prompts.queries):
        ids = torch.tensor([[0, *range(first, first + len(query.tokens))]])
        with torch.no_grad():
            tokens, seen = torch.tensor([[prompts.bos, *query.tokens]]), torch.ones_like(ids)
            logits = plain(tokens, position_ids=ids, attention_mask=seen).logits[0, -1]
        assert close(acts["logits"][j], logits)
    assert not close(acts["logits"], capture(model, prompts, "zs", ("logits",))["logits"], 1e-3)


def test_zero_demonstrations_make_icl_zero_shot(tiny_model, prompts_for):
    model = tiny_model("gpt_neox")
    prompts = prompts_for(model, k=0)
    icl, zs = (capture(model, prompts, setting) for setting in ("icl", "zs"))
    for site in icl:
        assert torch.equal(icl[site].nan_to_num(), zs[site].nan_to_num())
    assert torch.equal(icl.label_scores, zs.label_scores)


def test_an_update_in_force_names_the_setting(fresh_model, prompts_for):
    model = fresh_model("gpt2")
    prompts = prompts_for(model)
    before = capture(model, prompts, "zs")
    update = gradient_descent(model, prompts, lr=0.1)
    with update.applied(model):
        ft, icl = capture(model, prompts, "zs"), capture(model, prompts, "icl")
    assert ft.setting == f"ft:{update.hash}"
    assert icl.setting == f"icl+ft:{update.hash}"
    assert not torch.allclose(ft["attn_out"], before["attn_out"], atol=1e-4)
    assert torch.equal(capture(model, prompts, "zs")["attn_out"], before["attn_out"])


def test_free_text_targets(tiny_model, word_score):
    model = tiny_model("gpt2")
    rows = [{"text": "one", "answer": "a"}, {"text": "it is", "answer": "what it is"}]
    task = Task.from_records(rows, rows, template="{text}:", target_field="answer", name="free")
    prompts = build_prompts(model, task, k=1, n_queries=2)
    acts = capture(model, prompts, "icl", ())
    assert acts.label_scores.shape == (2, 0)
    for j, query in enumerate(prompts.queries):
        expected = word_score("gpt2", prompts.sequence(j), query.target_tokens)
        assert float(acts.target_scores[j]) == pytest.approx(expected, abs=2e-4)
        logits = capture(model, prompts, "icl", ("logits",))["logits"][j]
        assert int(acts.target_ranks[j]) == int((logits > logits[query.target_tokens[0]]).sum())
    assert metrics.accuracy(acts) == (acts.target_ranks == 0).float().mean()
    assert metrics.correct(acts, [None, None]).tolist() == (acts.target_ranks == 0).float().tolist()
    assert torch.equal(metrics.label_nll(acts, [None, None]), -acts.target_scores)
    with pytest.raises(CaptureError, match="Use target_ranks"):
        _ = acts.predictions
    with pytest.raises(AnalysisError, match="capture the prompts again"):
        metrics.accuracy(acts.label_scores)
    said = replace(acts, target_ranks=torch.tensor([0, 3]))
    assert float(metrics.accuracy(said)) == 0.5
    assert torch.isnan(metrics.correct(replace(acts, target_ranks=torch.tensor([-1, 0])))[0])


def test_predictions_are_the_likeliest_labels(tiny_model, prompts_for):
    acts = capture(tiny_model("gpt2"), prompts_for(tiny_model("gpt2")), "icl", ())
    assert torch.equal(acts.predictions, acts.label_probs.argmax(-1))
    assert torch.allclose(acts.label_probs.sum(-1), torch.ones(7))
    assert len(acts) == 7
    assert math.isfinite(float(acts.label_scores.sum()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"setting": "ft"}, "expected 'zs' or 'icl'"),
        ({"sites": ("attn_out", "hidden")}, "got the site 'hidden'"),
        ({"position": "last"}, "got position='last'"),
        ({"layers": [3]}, "expected some of 0 to 2"),
        ({"layers": []}, "expected some of 0 to 2"),
        ({"setting": "zs", "position": "labels"}, "needs setting='icl' and k > 0"),
        ({"position": "labels", "sites": ("attn_scores",)}, "ask for 'context_scores'"),
        ({"position": lambda query, context: 99}, "recorded at"),
    ],
)
def test_refusals(arguments, text, tiny_model, prompts_for):
    model = tiny_model("gpt2")
    with pytest.raises(CaptureError, match=text.replace("(", r"\(")):
        inspect.unwrap(capture)(model, prompts_for(model), **arguments)


def test_parallel_blocks_have_no_middle(tiny_model, prompts_for):
    model = tiny_model("gpt_neox")
    with pytest.raises(CaptureError, match="parallel"):
        capture(model, prompts_for(model), "icl", ("resid_mid",))
    middle = capture(tiny_model("gpt2"), prompts_for(tiny_model("gpt2")), "icl", ("resid_mid", "resid_pre", "attn_out"))
    assert torch.allclose(middle["resid_mid"], middle["resid_pre"] + middle["attn_out"], atol=1e-5)


def test_a_task_without_label_words_has_no_label_position(tiny_model):
    rows = [{"text": "one", "answer": "a"}, {"text": "it is", "answer": "b"}]
    task = Task.from_records(rows, rows, template="{text}:", target_field="answer", name="free")
    prompts = build_prompts(tiny_model("gpt2"), task, k=1, n_queries=2)
    with pytest.raises(CaptureError, match="has none"):
        capture(tiny_model("gpt2"), prompts, position="label")
