"""Momentum in the attention: the rate is chosen on other queries, and the numbers are those of single captures."""

from __future__ import annotations

import numpy as np
import pytest

import iclmech as icl
from iclmech.experiments import ExperimentError, Momentum
from iclmech.interventions import momentum_attention


@pytest.fixture(scope="module")
def found():
    return icl.momentum_attention(
        "icl-mini", "mini/sentiment", k=4, n_queries=8, n_contexts=2, etas=(0.02, 0.3), draws=2
    )


def test_scores_are_those_of_captures_under_the_chosen_rates(found):
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
    test, training = (icl.build_prompts(model, task, 4, 8, 0, 2, queries_from=split) for split in ("test", "train"))
    for n, eta in enumerate((0.02, 0.3)):
        acts = icl.capture(model, training, "icl", (), interventions=[momentum_attention(eta)])
        assert float(found.data["training_score"][0, n]) == pytest.approx(float(acts.target_scores.mean()), abs=1e-5)
    assert list(found.data["chosen_eta"].values) == [
        (0.02, 0.3)[int(np.argmax(row))] for row in found.data["training_score"].values
    ]
    edits = [momentum_attention(float(found.data["chosen_eta"][0]))]
    mine = icl.capture(model, test, "icl", (), interventions=edits).target_scores
    np.testing.assert_allclose(found.data["score_by_query"].sel(attention="momentum"), mine, atol=1e-5)
    other = float(found.data["chosen_eta"][1])
    draws = [
        icl.capture(
            model, test, "icl", (), interventions=[momentum_attention(other, shuffled=True, seed=s)]
        ).target_scores
        for s in (0, 1)
    ]
    wanted = (draws[0] + draws[1]) / 2
    np.testing.assert_allclose(found.data["score_by_query"].sel(attention="shuffled_values"), wanted, atol=1e-5)


def test_it_is_judged_saved_and_drawn(found, tmp_path):
    assert len(found.claims()) == 2
    again = icl.load(found.save(tmp_path / "momentum.nc"))
    assert isinstance(again, Momentum)
    assert again.answer() == found.answer()
    assert set(again.figures()) == {"momentum"}


def test_refusal():
    with pytest.raises(ExperimentError, match="expected a rate and a draw"):
        icl.momentum_attention("icl-mini", "mini/sentiment", etas=())
