"""The three sentences: each verdict follows from the interval over seeds, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from figures import synthetic

from iclmech.experiments import Comparison
from iclmech.experiments.comparison._answer import against as contrasts, answer
from iclmech.experiments.comparison._claims import claims_of, gain


def shifted(result: Comparison, contrast: str, by_seed: list[float]) -> Comparison:
    """The same result with other differences per seed in one contrast."""
    means = result.means.copy(deep=True)
    means["sim_aou_contrast_by_seed"].loc[{"contrast": contrast, "lr": 0}] = by_seed
    means["sim_aou_contrast"].loc[{"contrast": contrast, "lr": 0}] = np.nanmean(by_seed)
    return Comparison(means, None, result.examples)


@pytest.fixture(scope="module")
def clear() -> Comparison:
    """Far above every control."""
    return synthetic.comparison(n_layers=3, n_heads=2, trained_effect=0.3, n_queries=48)


def against(result: Comparison, update: str, control: str) -> str:
    return next(a for a in contrasts(claims_of(result), update) if a.called == control).verdict


def test_three_sentences(clear: Comparison):
    sentences = answer(clear)
    assert len(sentences) == 3
    assert all(s.endswith(".") for s in sentences)


def test_above_every_control_is_said_and_no_more_than_that(clear: Comparison):
    last = answer(clear)[2]
    assert "GD and LCGD are more similar to ICL than every control that was run" in last
    assert "not of the same mechanism" in last
    assert "no better" not in last


def test_no_better_than_the_untrained_model(clear: Comparison):
    result = shifted(clear, "gd: trained - untrained", [-0.05, 0.1, 0.02])
    last = answer(result)[2]
    assert "GD is no better than the untrained model (difference +0.02 [" in last
    assert "GD and LCGD are more similar" not in last
    assert "no evidence" in last


def test_below_the_untrained_model(clear: Comparison):
    last = answer(shifted(clear, "gd: trained - untrained", [-0.2, -0.21, -0.19]))[2]
    assert "GD is less similar to ICL than the untrained model (difference −0.20 [−0.22, −0.18])" in last


@pytest.mark.parametrize(
    ("by_seed", "verdict"),
    [
        ([0.1, 0.11, 0.12], "above"),
        ([-0.1, -0.11, -0.12], "below"),
        ([0.0, 0.1, 0.2], "no better"),
        ([0.1, 0.3, np.nan], "no better"),
    ],
)
def test_a_verdict_needs_an_interval_over_seeds_that_leaves_out_zero(
    clear: Comparison, by_seed: list[float], verdict: str
):
    result = shifted(clear, "lcgd - lcgd:wrong_task", by_seed)
    assert against(result, "lcgd", "another task") == verdict


def test_one_seed_makes_no_claim():
    last = answer(synthetic.comparison(n_layers=2, n_heads=2, seeds=1))[2]
    assert "no claim can be made about GD" in last
    assert "more similar" not in last


def test_nothing_measured_says_nothing():
    sentences = answer(synthetic.empty())
    assert "undefined for GD" in sentences[1]
    assert "nothing can be said of LCGD" in sentences[2]


def test_several_rates_must_agree():
    result = synthetic.comparison(n_layers=2, n_heads=2, rates=(0.01, 0.1), trained_effect=0.3, n_queries=48)
    assert against(result, "gd", "the untrained model") == "above"
    means = result.means.copy(deep=True)
    means["sim_aou_contrast_by_seed"].loc[{"contrast": "gd: trained - untrained", "lr": 1}] = [-0.1, 0.0, 0.1]
    assert against(Comparison(means), "gd", "the untrained model") == "no better"


def test_without_the_untrained_model_the_claim_is_weakened(clear: Comparison):
    means = clear.means.copy(deep=True)
    for name in ("sim_aou_contrast", "sim_aou_contrast_ci", "sim_aou_contrast_by_seed"):
        for update in ("gd", "lcgd"):
            means[name].loc[{"contrast": f"{update}: trained - untrained"}] = np.nan
    assert "without the untrained model as a control this says little" in answer(Comparison(means))[2]


def test_no_in_context_learning_is_said_first(clear: Comparison):
    means = clear.means.copy(deep=True)
    means["accuracy_overall_by_seed"].loc[{"setting": "icl", "variant": "trained"}] = means[
        "accuracy_overall_by_seed"
    ].sel(setting="zs", variant="trained")
    result = Comparison(means)
    assert gain(result, "icl").learned is False
    assert answer(result)[2].startswith("So the demonstrations do not help in context here")
    assert gain(clear, "icl").learned is True
    assert answer(clear)[2].startswith("So GD and LCGD")


def test_an_uncertain_gain_is_called_uncertain_not_absent(clear: Comparison):
    means = clear.means.copy(deep=True)
    at = {"setting": "icl", "variant": "trained", "lr": 0}
    zero_shot = means["accuracy_overall_by_seed"].sel(setting="zs", variant="trained", lr=0)
    means["accuracy_overall_by_seed"].loc[at] = zero_shot.values + np.array([0.1, 0.2, 0.4])
    last = answer(Comparison(means))[2]
    assert "is not certain over these seeds" in last
    assert "do not help" not in last


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ("gd - gd:shuffled_labels", "its similarity is not shown to be owed to the labels"),
        ("gd - gd:wrong_task", "its similarity is not shown to be owed to this task"),
        ("gd - gd:matched_update", "its similarity is no evidence that ICL works like it"),
        ("gd - closed-form null", "its similarity is no evidence that ICL works like it"),
    ],
)
def test_what_follows_depends_on_the_control_that_was_not_beaten(clear: Comparison, contrast: str, said: str):
    last = answer(shifted(clear, contrast, [-0.1, 0.1, 0.05]))[2]
    assert said in last
    assert "LCGD is more similar to ICL than every control" in last


def test_a_gain_is_a_difference_of_the_same_seed(clear: Comparison):
    by_seed = clear.means["accuracy_overall_by_seed"].sel(variant="trained", lr=0)
    expected = 100 * (by_seed.sel(setting="ft:gd") - by_seed.sel(setting="zs")).mean().item()
    assert gain(clear, "ft:gd").mean[0] == pytest.approx(expected)


def test_the_numbers_in_the_sentences_are_those_of_the_summary(clear: Comparison):
    table = clear.summary(["accuracy", "sim_aou"])
    rows = table[(table["name"] == "gd") & (table["variant"] == "trained")]
    assert f"{rows['mean'].item():.2f} for GD" in answer(clear)[1]
    icl = table[(table["name"] == "icl") & (table["variant"] == "trained")]["mean"].item()
    assert f"{100 * icl:.0f}\u00a0% of 48 queries" in answer(clear)[0]
