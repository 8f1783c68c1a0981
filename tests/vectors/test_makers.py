"""Makers of vectors: each against the same thing done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import iclmech as icl
from iclmech.interventions import replace as put
from iclmech.vectors import (
    VectorError,
    function_vector,
    in_context_vector,
    learn_vector,
    task_vector,
    with_permuted_answers,
)


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    task = icl.load_task("mini/sentiment")
    return icl.build_prompts(model, task, k=4, n_queries=12, n_contexts=3, queries_from="train")


def whole(model: icl.ICLModel, prompts: icl.PromptSet, hook: str) -> torch.Tensor:
    """The state at the last token of every prompt, run whole by TransformerLens itself: [query, layer, ...]."""
    rows = []
    for n in range(len(prompts.queries)):
        with torch.no_grad():
            _, cache = model.hooked.run_with_cache(torch.tensor([prompts.sequence(n)]))
        rows.append(torch.stack([cache[f"blocks.{layer}.{hook}"][0, -1] for layer in range(model.shape.n_layers)]))
    return torch.stack(rows)


def test_a_task_vector_is_the_mean_state_and_acts_where_held_out_queries_come_out_best(model, prompts):
    made_of, held = replace(prompts, queries=prompts.queries[:9]), replace(prompts, queries=prompts.queries[9:])
    vector = task_vector(model, prompts)
    expected = whole(model, made_of, "hook_resid_post").mean(dim=0)
    torch.testing.assert_close(vector.values, expected, atol=1e-4, rtol=1e-4)
    ranks = []
    for layer in range(model.shape.n_layers):
        with vector.applied(model, layer=layer):
            acts = icl.capture(model, held, "zs", ())
        ranks.append((float(icl.metrics.accuracy(acts, held.labels)), float(acts.target_scores.mean()), -layer))
    assert vector.layer == -max(ranks)[2]
    assert vector.meta["choice"]["accuracy"] == pytest.approx([accuracy for accuracy, *_ in ranks])
    assert task_vector(model, prompts, layer=3).layer == 3
    assert task_vector(model, replace(prompts, queries=prompts.queries[:3])).layer is None


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
def test_the_sum_of_a_layers_heads_in_the_place_of_what_they_wrote_is_z_replaced(fresh_model, family):
    """With an output bias (gpt2) and grouped queries (llama): W_O alone, of the query's heads."""
    model = fresh_model(family)
    records = [{"text": word, "answer": word[::-1]} for word in ("ash", "bay", "cod", "dew", "elm", "fir")]
    task = icl.Task.from_records(records, records, "{text} =", target_field="answer")
    prompts = icl.build_prompts(model, task, k=2, n_queries=4)
    layer, heads = 1, [(1, h) for h in range(model.shape.n_heads)]
    vector = function_vector(model, prompts, heads, "distributed")
    assert vector.layers == (layer,)
    means = icl.capture(model, prompts, "icl", ("z",))["z"].mean(dim=0)
    own = icl.capture(model, prompts, "zs", ("z", "attn_out", "logits"))
    w_o = icl.weights_view(model).W_O[layer]
    for n, query in enumerate(prompts.queries):
        alone = replace(prompts, queries=[query])
        here = replace(vector, values=(vector.values[0] - torch.einsum("hd,hdm->m", own["z"][n, layer], w_o))[None])
        with here.applied(model):
            added = icl.capture(model, alone, "zs", ("logits",))
        edit = put("z", means[layer], layers=layer, at="s_q")
        replaced = icl.capture(model, alone, "zs", ("logits",), interventions=[edit])
        torch.testing.assert_close(added["logits"], replaced["logits"], atol=2e-4, rtol=1e-3)
    assert (replaced["logits"] - own["logits"][-1]).abs().max() > 1e-3


def test_the_sum_and_the_distributed_vector_hold_the_same_writes(model, prompts):
    heads = [(0, 1), (2, 0), (2, 3)]
    total = function_vector(model, prompts, heads, layer=1)
    spread = function_vector(model, prompts, heads, "distributed")
    z = whole(model, prompts, "attn.hook_z").mean(dim=0)
    w_o = icl.weights_view(model).W_O
    torch.testing.assert_close(spread.values[0], z[0, 1] @ w_o[0, 1], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(spread.values.sum(dim=0), total.values[1], atol=1e-5, rtol=1e-4)
    assert torch.equal(total.values[0], total.values[3])
    with pytest.raises(VectorError, match="the head"):
        function_vector(model, prompts, [(0, 9)])


def test_in_context_vectors_are_the_mean_difference_and_its_first_component(model):
    pairs = [("good film", "bad"), ("the plot", "dull story"), ("great", "awful"), ("a review", "boring")]
    pairs = [(model.tokenize(x), model.tokenize(y)) for x, y in pairs]
    delta = []
    for x, y in pairs:
        ends = []
        for ids in (x, y):
            with torch.no_grad():
                _, cache = model.hooked.run_with_cache(torch.tensor([[model.bos, *ids]]))
            ends.append(torch.stack([cache["blocks.0.hook_resid_pre"][0, -1]] + [
                cache[f"blocks.{n}.hook_resid_post"][0, -1] for n in range(model.shape.n_layers)
            ]))  # fmt: skip
        delta.append(ends[1] - ends[0])
    delta = torch.stack(delta)
    mean, pc, released = (in_context_vector(model, pairs, d) for d in ("mean", "pc", "released"))
    torch.testing.assert_close(mean.values, delta.mean(dim=0)[1:], atol=1e-4, rtol=1e-4)
    component = np.asarray(PCA(1).fit(delta.flatten(1).double().numpy()).components_)[0].reshape(delta.shape[1:])
    sign = np.sign((component * delta.mean(dim=0).numpy()).sum())
    np.testing.assert_allclose(pc.values.numpy(), sign * component[1:], atol=1e-4)
    rest = (released.values - mean.values).numpy()
    assert np.allclose(rest, component[1:], atol=1e-4) or np.allclose(rest, -component[1:], atol=1e-4)
    assert (mean.site, mean.how, mean.where, mean.together) == ("mlp_out", "keep_norm", None, True)
    with pytest.raises(VectorError, match="at least 2"):
        in_context_vector(model, pairs[:1], "pc")


def test_the_loss_of_a_learned_vector_is_that_of_captured_answers_and_falls(model, prompts):
    vector = learn_vector(model, prompts, [1, 2], steps=12)
    plain = -icl.capture(model, prompts, "zs", ()).target_scores.mean()
    for n, layer in enumerate(vector.layers):
        course = vector.meta["losses"][n]
        assert course[0] == pytest.approx(float(plain), abs=1e-4)
        with vector.applied(model, layer=layer):
            after = -icl.capture(model, prompts, "zs", ()).target_scores.mean()
        assert course[-1] == pytest.approx(float(after), abs=1e-4)
        assert course[-1] < course[0] - 0.3


def test_answers_of_several_tokens_are_learned_whole(fresh_model):
    model = fresh_model("gpt2")
    records = [{"text": word, "answer": word[::-1]} for word in ("ash", "bay", "cod")]
    task = icl.Task.from_records(records, records, "{text} =", target_field="answer")
    prompts = icl.build_prompts(model, task, k=1, n_queries=3)
    vector = learn_vector(model, prompts, 1, steps=3)
    with vector.applied(model):
        after = -icl.capture(model, prompts, "zs", ()).target_scores.mean()
    assert vector.meta["losses"][0][-1] == pytest.approx(float(after), abs=1e-3)


def test_permuted_answers_are_the_same_answers_on_other_queries(prompts):
    new = with_permuted_answers(prompts, seed=3)
    for c in range(3):
        before, after = ([q.label for q in p.queries if q.context == c] for p in (prompts, new))
        assert sorted(map(str, before)) == sorted(map(str, after))
    assert new.labels != prompts.labels
    assert [q.tokens for q in new.queries] == [q.tokens for q in prompts.queries]


def test_contexts_under_different_label_words_are_refused_and_shared_words_are_the_way_out(model):
    task = icl.load_task("mini/held-pair")
    own = icl.build_prompts(model, task, k=2, n_queries=6, n_contexts=3)
    for make in (task_vector, lambda m, p: function_vector(m, p, [(1, 1)]), lambda m, p: learn_vector(m, p, 1)):
        with pytest.raises(VectorError, match="label_words='shared'"):
            make(model, own)
    shared = icl.build_prompts(model, task, k=2, n_queries=6, n_contexts=3, label_words="shared")
    assert len({tuple(c.label_words) for c in shared.contexts}) == 1
    assert shared.contexts[0].label_words == own.contexts[0].label_words
    assert len({tuple(c.tokens) for c in shared.contexts}) == 3
    assert task_vector(model, shared).layer in range(4)
