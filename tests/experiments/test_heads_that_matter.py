"""Ablation of heads by hand-made weights of the comparison, plain passes of transformers, and the controls."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
import xarray as xr

import iclmech as icl
from iclmech._base import provenance
from iclmech.captures import capture
from iclmech.experiments import ExperimentError, HeadsThatMatter
from iclmech.experiments._ablated_heads import ablation, mean_outputs, of_same_layers, ranked
from iclmech.tasks import Task, build_prompts

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
def small(tiny_model, tiny_hf):
    records = [{"text": text, "label": n % 2} for n, text in enumerate(TEXTS)]
    task = Task.from_records(records, records, template="{text}:", label_words=["a", "i"], name="small")
    model = tiny_model("llama")
    return model, tiny_hf("llama"), build_prompts(model, task, k=3, n_queries=4, n_contexts=2, seed=1)


def outputs(plain, tokens, heads=(), means=None):
    """(z [layer, token, head, 8], logits of the last token); given heads replaced by their means behind BOS."""
    modules = [m for name, m in plain.named_modules() if name.endswith("self_attn.o_proj")]
    seen = []

    def before(n, args):
        states = args[0].clone()
        for layer, head in heads:
            if layer == n:
                states[0, 1:, 8 * head : 8 * head + 8] = means[layer, head]
        seen.append(states[0].unflatten(1, (4, 8)))
        return (states, *args[1:])

    handles = [m.register_forward_pre_hook(lambda _, a, n=n: before(n, a)) for n, m in enumerate(modules)]
    with torch.no_grad():
        logits = plain(torch.tensor([tokens])).logits[0, -1]
    for handle in handles:
        handle.remove()
    return torch.stack(seen), logits


def test_the_mean_output_is_that_of_all_tokens_but_bos(small):
    """Contexts count once; the queries of a context are two."""
    model, plain, prompts = small
    found = []
    for c, context in enumerate(prompts.contexts):
        found.append(outputs(plain, context.tokens)[0][:, 1:])
        for query in prompts.queries:
            if query.context == c:
                found.append(outputs(plain, [*context.tokens, *query.tokens])[0][:, len(context.tokens) :])
    torch.testing.assert_close(mean_outputs(model, prompts), torch.cat(found, 1).mean(1), atol=1e-5, rtol=1e-4)


def test_ablation_is_that_of_the_plain_model(small):
    model, plain, prompts = small
    heads, means = [(0, 1), (2, 3), (2, 0)], mean_outputs(model, prompts)
    found = capture(model, prompts, "icl", ("logits",), interventions=ablation(heads, means))
    for j in range(len(prompts.queries)):
        _, logits = outputs(plain, prompts.sequence(j), heads, means)
        torch.testing.assert_close(found["logits"][j], logits, atol=1e-4, rtol=1e-4)


def test_random_heads_are_as_many_in_every_layer_and_others_where_there_are_others():
    chosen = [(0, 1), (0, 2), (3, 0), (3, 1), (3, 2)]
    drawn = of_same_layers(chosen, 4, seed=0, draw=1)
    assert Counter(layer for layer, _ in drawn) == {0: 2, 3: 3}
    assert {head for layer, head in drawn if layer == 0} == {0, 3}
    assert (3, 3) in drawn
    assert len(set(drawn)) == 5
    assert of_same_layers(chosen, 4, 0, 2) != drawn or of_same_layers(chosen, 4, 0, 3) != drawn


def test_the_others_best_is_left_out():
    scores = torch.tensor([[0.3, 0.9], [0.5, 0.1]])
    assert ranked(scores, [(0, 1)])[:2] == [(1, 0), (0, 0)]


def made(right):
    """A result whose rankings have these shares of right answers."""
    names = ["function_vector", "induction", "random_function_vector", "random_induction"]
    generator = np.random.default_rng(0)
    values = np.stack([generator.random((1, 200)) < right[name] for name in names]).astype(float)
    data = xr.Dataset(
        {
            "right": (("ranking", "share", "query"), values), "demonstrations": (("query",), np.arange(200)),
            "accuracy": (("ranking", "share"), values.mean(-1)), "right_intact": (("query",), np.ones(200)),
        },
        {"ranking": names, "share": [0.1]},
    )  # fmt: skip
    return HeadsThatMatter(data, provenance=provenance())


def test_claims_follow_the_numbers():
    found = made({"function_vector": 0.2, "induction": 0.8, "random_function_vector": 0.8, "random_induction": 0.82})
    assert list(found.claims()["verdict"]) == ["holds", "not shown", "holds"]
    assert found.answer()[0].startswith("Accuracy is 1.00 with all heads; with 10% of them ablated, 0.")
    found = made({"function_vector": 0.9, "induction": 0.3, "random_function_vector": 0.5, "random_induction": 0.9})
    assert list(found.claims()["verdict"]) == ["does not hold", "holds", "does not hold"]


def test_on_the_shipped_model_copying_needs_its_induction_heads(tmp_path):
    found = icl.heads_that_matter(
        "icl-mini", "mini/sentiment", k=4, n_queries=8, n_contexts=2, n_score=4, shares=(0.2,), draws=2
    )
    loss = found.data["copying_loss"].sel(share=0.2)
    assert float(loss.sel(ranking="induction")) > float(found.data["copying_loss_intact"]) + 1
    again = icl.load(found.save(tmp_path / "heads.nc"))
    assert set(again.figures()) == {"ablation", "scores"}
    assert again.answer() == found.answer()


def test_refusals(small):
    model, _, _ = small
    with pytest.raises(ExperimentError, match="expected shares of all heads between 0 and 1"):
        icl.heads_that_matter(model, "mini/sentiment", shares=(1.5,))
