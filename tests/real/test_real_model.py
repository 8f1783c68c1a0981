"""What is claimed for users' models, on one: SmolLM2-135M-Instruct (`iclmech get smollm2-135m`; ICLMECH_REQUIRE_REAL=1 insists)."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl


@pytest.fixture(scope="module")
def model(smollm2: icl.ICLModel) -> icl.ICLModel:
    return smollm2


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    return icl.build_prompts(model, icl.load_task("words/plural"), k=8, n_queries=12)


def test_it_learns_a_word_task_in_context(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    assert icl.accuracy(model, prompts, "zs") < 0.2
    assert icl.accuracy(model, prompts) > 0.8


def test_the_fast_path_is_taken_and_equals_whole_prompts(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    sites = ("attn_out", "resid_post", "attn_scores")
    fast, whole = (icl.capture(model, prompts, "icl", sites, path=path) for path in ("fast", "uncached"))
    for site in sites:
        a, b = fast[site].nan_to_num(), whole[site].nan_to_num()
        assert (a - b).abs().max() <= 1e-4 * (1 + b.abs().max())
    torch.testing.assert_close(fast.target_scores, whole.target_scores, atol=1e-3, rtol=1e-3)
    assert torch.equal(fast.target_ranks, whole.target_ranks)


def test_updates_teach_it_and_leave_no_trace(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    before = model.hash()
    for method in (icl.gradient_descent, icl.layer_causal_gd):
        update = method(model, prompts, lr=1e-4, batch="full", epochs=2)
        first, second = (torch.tensor(losses).sum() for losses in update.meta["losses"])
        assert second < first  # the loss on the demonstrations falls
        with update.applied(model):
            assert icl.capture(model, prompts, "zs", ()).setting.startswith("ft:")
    assert model.hash() == before


def test_a_cut_of_what_carries_the_answer_costs_it(model: icl.ICLModel, prompts: icl.PromptSet) -> None:
    cut = icl.interventions.cut_edges(prompts, "y->x_q+s_q")
    intact, without = (icl.capture(model, prompts, "icl", (), interventions=i).target_scores for i in ((), (cut,)))
    assert without.mean() < intact.mean() - 0.5
