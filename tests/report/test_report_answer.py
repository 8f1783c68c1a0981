"""The sentences: each word stronger than "not shown" follows from a claim, and each claim from an interval and its p."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from figures import synthetic

from iclmech._base import REGISTRIES
from iclmech.analysis.statistics import holm
from iclmech.experiments import Comparison
from iclmech.experiments.comparison._answer import answer
from iclmech.experiments.comparison._claims import claims_of
from iclmech.experiments.comparison._likeness import against as contrasts

CLEAR = {"n_layers": 3, "n_heads": 2, "trained_effect": 0.3, "n_queries": 48}


def put(
    result: Comparison, contrast: str, mean: float, half: float, p: float, lr: int = 0, *, claims: bool = True
) -> Comparison:
    """The same result with another estimate of one contrast."""
    means = result.means.copy(deep=True)
    at = {"contrast": contrast, "lr": lr}
    means["sim_aou_contrast"].loc[at], means["sim_aou_contrast_p"].loc[at] = mean, p
    means["sim_aou_contrast_ci"].loc[at] = [mean - half, mean + half]
    means["sim_aou_contrast_claims"].loc[at] = claims
    return Comparison(means, None, result.examples)


def gained(result: Comparison, setting: str, baseline: str, mean: float, half: float, p: float) -> Comparison:
    """The same result with another gain of one setting."""
    means = result.means.copy(deep=True)
    at = {"setting": setting, "baseline": baseline, "lr": 0}
    means["gain"].loc[at], means["gain_p"].loc[at], means["gain_claims"].loc[at] = mean, p, True
    means["gain_ci"].loc[at] = [mean - half, mean + half]
    return Comparison(means, None, result.examples)


@pytest.fixture(scope="module")
def clear() -> Comparison:
    """Far above every control, and learning in context."""
    result = synthetic.comparison(**CLEAR)
    means = result.means.assign(chance=("seed", [0.52, 0.52, 0.52]))
    return gained(Comparison(means, None, result.examples), "icl", "constant", 0.4, 0.1, 1e-6)


def against(result: Comparison, update: str, control: str) -> str:
    return next(a for a in contrasts(claims_of(result), update) if a.called == control).verdict


def claim(result: Comparison, text: str):
    return next(c for c in claims_of(result) if c.claim == text)


def test_every_sentence_ends(clear: Comparison):
    sentences = answer(clear)
    assert len(sentences) == 5
    assert all(s.endswith(".") for s in sentences)


def test_above_every_control_is_said_and_no_more_than_that(clear: Comparison):
    follows = answer(clear)[3]
    assert "GD and LCGD are more similar to ICL than every control that was run" in follows
    assert "not of the same mechanism" in follows
    assert "not shown to be more" not in follows
    assert claim(clear, "GD is more like ICL than every control that was run").verdict == "holds"


def test_not_shown_is_not_called_no_better(clear: Comparison):
    result = put(clear, "gd: trained - untrained", 0.02, 0.1, 0.5)
    follows = answer(result)[3]
    assert (
        "GD is not shown to be more similar to ICL than the untrained model (difference +0.02 [−0.08, +0.12])"
        in follows
    )
    assert "no better" not in follows
    assert "GD and LCGD are more similar" not in follows
    assert "no evidence" in follows
    assert claim(result, "GD is more like ICL than every control that was run").verdict == "not shown"


def test_below_the_untrained_model(clear: Comparison):
    follows = answer(put(clear, "gd: trained - untrained", -0.2, 0.02, 1e-5))[3]
    assert "GD is less similar to ICL than the untrained model (difference −0.20 [−0.22, −0.18])" in follows


@pytest.mark.parametrize(
    ("mean", "p", "claims", "verdict"),
    [
        (0.11, 1e-4, True, "above"),
        (-0.11, 1e-4, True, "below"),
        (0.11, 0.04, True, "not shown"),  # by itself it would be: not as one of sixteen
        (0.11, 0.2, True, "not shown"),
        (0.2, 1e-4, False, "unknown"),
    ],
)
def test_a_verdict_needs_a_p_that_stands_the_correction(
    clear: Comparison, mean: float, p: float, claims: bool, verdict: str
):
    result = put(clear, "lcgd - lcgd:wrong_task", mean, 0.05, p, claims=claims)
    assert against(result, "lcgd", "another task") == verdict


def test_verdicts_are_those_of_holm_over_all_claims(clear: Comparison):
    found = claims_of(clear)
    adjusted = holm([c.about["p"] for c in found])
    assert len(found) >= 16
    for one, p in zip(found, adjusted, strict=True):
        expected = "not shown" if not p < 0.05 else "holds" if one.measured > 0 else "does not hold"
        assert one.verdict == expected
        assert f"Holm's correction for {len(found)} verdicts" in one.rule


@pytest.mark.parametrize(
    ("beyond_zs", "beyond_constant", "verdict", "control"),
    [
        ((0.3, 1e-5), (0.2, 1e-5), "holds", "the best constant answer"),
        ((0.3, 1e-5), (0.02, 0.4), "not shown", "the best constant answer"),
        ((0.01, 0.6), (0.3, 1e-5), "not shown", "zero-shot"),
        ((-0.3, 1e-5), (0.2, 1e-5), "does not hold", "zero-shot"),
        ((0.3, 1e-5), (-0.2, 1e-5), "does not hold", "the best constant answer"),
        ((-0.1, 0.3), (0.2, 1e-5), "not shown", "zero-shot"),
    ],
)
def test_learning_needs_both_baselines(
    clear: Comparison, beyond_zs: tuple, beyond_constant: tuple, verdict: str, control: str
):
    result = clear
    for baseline, (mean, p) in (("zs", beyond_zs), ("constant", beyond_constant)):
        result = gained(result, "icl", baseline, mean, 0.05, p)
    found = claim(result, "learns in context")
    assert (found.verdict, found.control) == (verdict, control)
    assert found.measured == min(beyond_zs[0], beyond_constant[0])
    said = {"holds": "it learns in context", "not shown": "that it learns in context is not shown",
            "does not hold": f"a loss against {control}, and so no learning in context"}  # fmt: skip
    assert said[verdict] in answer(result)[0]


def test_the_best_constant_answer_is_chance_and_unrelated_text_is_told(clear: Comparison):
    first = answer(gained(clear, "icl:unrelated_text", "zs", 0.11, 0.04, 0.01))[0]
    assert "52\u00a0% for the best constant answer (+40 [+30, +50] points)" in first
    assert "unrelated text in their place alone gives" in first
    assert "(+11 [+7, +15] points on zero-shot)" in first


def test_two_seeds_make_no_claim():
    result = synthetic.comparison(n_layers=2, n_heads=2, seeds=2)
    assert {c.verdict for c in claims_of(result)} == {"not shown"}
    sentences = answer(result)
    assert "no claim is made about GD: fewer than 3 seeds carry no claim" in sentences[3]
    assert "no claim is made (fewer than 3 seeds carry no claim)" in sentences[4]
    assert "a gain" not in sentences[1]


def test_nothing_measured_says_nothing():
    sentences = answer(synthetic.empty())
    assert "undefined for GD" in sentences[2]
    assert "nothing can be said of LCGD" in sentences[3]


def test_several_rates_must_agree():
    result = synthetic.comparison(n_layers=2, n_heads=2, rates=(0.01, 0.1), trained_effect=0.3, n_queries=48, seeds=5)
    assert against(result, "gd", "the untrained model") == "above"
    result = put(result, "gd: trained - untrained", 0.02, 0.1, 0.4, lr=1)
    assert against(result, "gd", "the untrained model") == "not shown"


def test_without_the_untrained_model_the_claim_is_weakened(clear: Comparison):
    means = clear.means.copy(deep=True)
    for update in ("gd", "lcgd"):
        means["sim_aou_contrast"].loc[{"contrast": f"{update}: trained - untrained"}] = np.nan
    assert "without the untrained model as a control this says little" in answer(Comparison(means))[3]


def test_a_new_control_has_to_be_beaten_and_stands_in_the_sentences(monkeypatch: pytest.MonkeyPatch):
    """Unrelated text whose states are compared: one record changed, nothing else."""
    registry = REGISTRIES["control"]
    record = dataclasses.replace(
        registry["icl:unrelated_text"], compared=True, contrast=True, phrase="unrelated text", rank=5, basic=True
    )
    monkeypatch.setitem(registry._targets, "icl:unrelated_text", record)
    result = synthetic.comparison(**CLEAR)
    sentences = answer(result)
    assert "and a SimAOU with ICL of " in sentences[0]
    assert "for ICL, unrelated text" in sentences[2]
    result = put(result, "gd - icl:unrelated_text", -0.03, 0.05, 0.2)
    assert against(result, "gd", "unrelated text") == "not shown"
    assert claim(result, "GD is more like ICL than every control that was run").verdict == "not shown"


def test_learning_that_is_not_shown_is_said_before_every_verdict(clear: Comparison):
    doubtful = gained(clear, "icl", "zs", 0.05, 0.2, 0.5)
    assert "(with the reservation that learning in context is not shown here)" in answer(doubtful)[3]
    worse = gained(clear, "icl", "zs", -0.3, 0.05, 1e-5)
    assert answer(worse)[3].startswith("So there is no in-context learning here to be like:")
    assert answer(clear)[3].startswith("So GD and LCGD")


def test_a_loss_is_called_a_loss(clear: Comparison):
    result = gained(clear, "ft:lcgd", "zs", -0.15, 0.05, 1e-5)
    assert "(−15 [−20, −10] points on zero-shot, a loss)" in answer(result)[1]
    result = gained(result, "ft:gd", "zs", 0.02, 0.05, 0.4)
    assert "(+2 [−3, +7] points on zero-shot, not shown to be a gain or a loss)" in answer(result)[1]


def test_what_an_update_on_shuffled_labels_leaves_is_told(clear: Comparison):
    result = put(clear, "gd - gd:shuffled_labels", 0.0, 0.05, 0.9)
    at = {"setting": "ft:gd:shuffled_labels", "variant": "trained", "lr": 0}
    left = 100 * float(result.means.accuracy_overall.sel(at))
    assert (
        f"shuffled labels (difference +0.000 [−0.05, +0.05]; after that update {left:.0f}\u00a0% are right)"
        in answer(result)[3]
    )


@pytest.mark.parametrize(
    "note", ["gd taught the format only at 0.03", "no learning rate made the labels likelier for gd"]
)
def test_notes_on_the_learning_rate_stand_beside_what_the_updates_taught(note: str):
    whole = f"gd: learning rate 0.03, label NLL 0.2. {note}. The next refused rate is 1."
    result = synthetic.comparison(n_layers=2, n_heads=2, notes=(whole, "something else"))
    second = answer(result)[1]
    assert f"GD: {note}" in second
    assert "something else" not in second
    assert "next refused" not in second


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ("gd - gd:shuffled_labels", "its similarity is not shown to be owed to the labels"),
        ("gd - gd:wrong_task", "its similarity is not shown to be owed to this task"),
        ("gd: trained - untrained", "its similarity is no evidence that ICL works like it"),
        ("gd - gd:matched_update", "its similarity is no evidence that ICL works like it"),
        ("gd - closed-form null", "its similarity is no evidence that ICL works like it"),
    ],
)
def test_what_follows_depends_on_the_control_that_was_not_beaten(clear: Comparison, contrast: str, said: str):
    follows = answer(put(clear, contrast, 0.02, 0.1, 0.7))[3]
    assert said in follows
    assert "LCGD is more similar to ICL than every control" in follows


def test_files_without_paired_estimates_claim_nothing_and_say_why(clear: Comparison):
    new = [n for n in clear.means.data_vars if n.startswith("gain") or n.endswith(("_claims", "_p", "_kept"))]
    old = Comparison(clear.means.drop_vars([*new, "chance", "interval"]))
    found = claims_of(old)
    assert {c.verdict for c in found} == {"not shown"}
    assert all("this file holds no paired two-way estimates" in c.rule for c in found)
    sentences = answer(old)
    assert "bootstrap interval over seeds, then queries" in sentences[4]
    assert "that it learns in context is not shown (this file holds" in sentences[0]


def test_the_numbers_in_the_sentences_are_those_of_the_summary(clear: Comparison):
    table = clear.summary(["accuracy", "sim_aou"])
    rows = table[(table["name"] == "gd") & (table["variant"] == "trained")]
    mean, low, high = (rows[column].item() for column in ("mean", "low", "high"))
    sentences = answer(clear)
    assert f"{mean:.2f} [{low:.2f}, {high:.2f}] for GD" in sentences[2]
    icl = table[(table["name"] == "icl") & (table["variant"] == "trained")]["mean"].item()
    assert f"{100 * icl:.0f}\u00a0% of 48 queries" in sentences[0]
