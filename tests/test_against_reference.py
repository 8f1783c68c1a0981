"""The whole walk, prompts → capture and update → similarities, against the second implementation, family by family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import reference
import torch

from iclmech.analysis import metrics
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.updates import WeightUpdate, gradient_descent, layer_causal_gd

LR = 0.05
TRAIN = ["a fine film", "dull", "it is what it is", "great acting, poor story", "the story moves you", "never starts"]
TEST = ["fine", "a dull story, it never moves", "the acting is great", "poor", "it is a film and the film is poor"]


@dataclass
class Walk:
    """One family: recordings of the same queries by iclmech and by the reference."""

    model: ICLModel
    prompts: PromptSet
    mine: dict[str, Activations]
    theirs: dict[str, list[dict[str, torch.Tensor]]]


def make_prompts(model: ICLModel) -> PromptSet:
    words = ["negative", "positive"]
    train = [{"text": text, "label": n % 2} for n, text in enumerate(TRAIN)]
    test = [{"text": text, "label": n % 2} for n, text in enumerate(TEST)]
    task = Task.from_records(train, test, template="{text} Sentiment:", label_words=words, name="films")
    return build_prompts(model, task, k=4, n_queries=len(TEST), seed=0)


def record_all(plain: Any, prompts: PromptSet, prefix: list[int]) -> list[dict[str, torch.Tensor]]:
    return [reference.record(plain, [*prefix, *q.tokens], n_own=len(q.tokens)) for q in prompts.queries]


def assert_close(mine: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal within 1e-5 of the largest entry (or of 1 where that is larger), NaN in the same places."""
    largest = max(1.0, float(theirs.nan_to_num().abs().max()))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5 * largest, equal_nan=True)


@pytest.fixture(scope="module", params=reference.FAMILIES)
def walk(request, tiny_model, tiny_hf) -> Walk:
    model, plain = tiny_model(request.param), tiny_hf(request.param)
    prompts = make_prompts(model)
    bos, context = [prompts.bos], prompts.context_tokens
    samples = [(d.tokens, d.label_span) for d in prompts.demonstrations]
    mine = {"zs": capture(model, prompts, "zs"), "icl": capture(model, prompts, "icl")}
    theirs = {"zs": record_all(plain, prompts, bos), "icl": record_all(plain, prompts, context)}
    updates: dict[str, WeightUpdate] = {
        "gd": gradient_descent(model, prompts, lr=LR),
        "lcgd": layer_causal_gd(model, prompts, lr=LR),
    }
    deltas = {
        "gd": reference.gradient_descent(plain, samples, LR, "label"),
        "lcgd": reference.layer_causal_gd(plain, samples, LR, "label"),
    }
    for name, update in updates.items():
        with update.applied(model):
            mine[name] = capture(model, prompts, "zs")
        theirs[name] = record_all(reference.with_delta(plain, deltas[name]), prompts, bos)
    return Walk(model, prompts, mine, theirs)


@pytest.mark.parametrize("setting", ["zs", "icl", "gd", "lcgd"])
@pytest.mark.parametrize("site", ["attn_out", "resid_post"])
def test_captured_states(walk, site, setting):
    expected = torch.stack([r[site] for r in walk.theirs[setting]])
    assert walk.mine[setting][site].shape == expected.shape
    assert_close(walk.mine[setting][site], expected)


@pytest.mark.parametrize("setting", ["zs", "icl", "gd", "lcgd"])
def test_captured_scores(walk, setting):
    got = walk.mine[setting]["attn_scores"]
    for row, query, r in zip(got, walk.prompts.queries, walk.theirs[setting], strict=True):
        own = len(query.tokens)
        assert_close(row[..., -own:], r["scores"])
        assert torch.isnan(row[..., :-own]).all()


@pytest.mark.parametrize("update", ["gd", "lcgd"])
def test_similarities(walk, update):
    mine = [walk.mine[name] for name in ("zs", "icl", update)]
    theirs = [walk.theirs[name] for name in ("zs", "icl", update)]
    aou, am = metrics.sim_aou(*mine).numpy(), metrics.sim_am(*mine).numpy()
    assert not np.isnan(aou).any()
    np.testing.assert_allclose(aou, reference.sim_aou(*theirs), rtol=0, atol=1e-5)
    kept = ~np.isnan(am)
    rotary = walk.model.hooked.cfg.positional_embedding_type == "rotary"
    assert kept[:, 0].any() == (not rotary)  # the layer-0 shift under rotary positions is rounding noise
    assert kept[:, 1:].all()
    expected = np.where(kept, reference.sim_am(*theirs), np.nan)
    np.testing.assert_allclose(am, expected, rtol=0, atol=1e-4)  # one head's shift may be small, and its noise large
    mine_by_layer, expected_by_layer = (np.nanmean(x[:, int(rotary) :], axis=2) for x in (am, expected))
    np.testing.assert_allclose(mine_by_layer, expected_by_layer, rtol=0, atol=1e-5)


def test_settings_are_far_enough_apart_to_tell(walk):
    for setting in ("icl", "gd", "lcgd"):
        shift = walk.mine[setting]["attn_out"] - walk.mine["zs"]["attn_out"]
        assert float((shift.norm(dim=-1) / walk.mine["zs"]["attn_out"].norm(dim=-1)).min()) > 1e-3
    between = metrics.sim_aou(walk.mine["zs"], walk.mine["gd"], walk.mine["lcgd"])
    assert float(between.max()) < 0.9999


def test_similarity_with_itself_is_one(walk):
    zs, icl = walk.mine["zs"], walk.mine["icl"]
    aou, am = metrics.sim_aou(zs, icl, icl), metrics.sim_am(zs, icl, icl)
    torch.testing.assert_close(aou, torch.ones_like(aou), rtol=0, atol=1e-6)
    torch.testing.assert_close(am[~am.isnan()], torch.ones(int((~am.isnan()).sum())), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_cached_equals_uncached_for_queries_of_mixed_length(family, tiny_model):
    model = tiny_model(family)
    prompts = make_prompts(model)
    assert len({len(query.tokens) for query in prompts.queries}) > 2
    sites = ("attn_out", "resid_post", "attn_scores", "attn_pattern", "context_scores", "q", "k", "v", "z")
    cached, uncached = (capture(model, prompts, "icl", sites=sites, path=path) for path in ("cached", "uncached"))
    for site in sites:
        assert_close(cached[site], uncached[site])
    torch.testing.assert_close(cached.label_scores, uncached.label_scores, rtol=0, atol=1e-5)


def test_cached_capture_sees_the_update(tiny_model):
    """The prefix is encoded with the weights that are in force now."""
    model = tiny_model("gpt_neox")  # whose fused projection goes stale
    prompts = make_prompts(model)
    with gradient_descent(model, prompts, lr=LR).applied(model):
        cached, uncached = (capture(model, prompts, "icl", path=path) for path in ("cached", "uncached"))
    assert_close(cached["attn_out"], uncached["attn_out"])
    before = capture(model, prompts, "icl")
    assert float((cached["attn_out"] - before["attn_out"]).abs().max()) > 1e-3
