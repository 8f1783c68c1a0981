"""Verdicts of planted readings: which side of δ, corrected for how many, with how many seeds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import t

from iclmech.papers import PaperClaim, Reading
from iclmech.papers._verdicts import judged, p_value

CLAIM = PaperClaim("planted", run="r", read=lambda result: result, margin=0.1)


def reading(mean: float, half: float, n: int = 10, **more) -> Reading:
    return Reading(mean, mean - half, mean + half, n, **more)


def verdict(claim: PaperClaim, found: Reading | None, quick: bool = False) -> str:
    return judged([claim], [found], quick)[0].verdict


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.2, "holds"), (0.14, "not shown"), (0.06, "not shown"), (0.0, "does not hold"), (-1.0, "does not hold")],
)
def test_above_holds_where_the_interval_lies_above_the_margin(mean: float, expected: str):
    assert verdict(CLAIM, reading(mean, 0.05)) == expected


@pytest.mark.parametrize(("mean", "expected"), [(0.2, "does not hold"), (0.14, "not shown"), (0.0, "holds")])
def test_below_is_the_mirror_of_above(mean: float, expected: str):
    assert verdict(replace(CLAIM, rule="below"), reading(mean, 0.05)) == expected


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [(0.0, 0.05, "holds"), (0.04, 0.05, "holds"), (0.07, 0.05, "not shown"), (0.0, 0.2, "not shown"),
     (0.3, 0.1, "does not hold"), (-0.3, 0.1, "does not hold"), (-0.12, 0.05, "not shown")],
)  # fmt: skip
def test_within_holds_where_the_interval_lies_inside_both_margins(mean: float, half: float, expected: str):
    assert verdict(replace(CLAIM, rule="within"), reading(mean, half)) == expected


def test_a_negative_margin_lets_a_small_loss_pass():
    claim = replace(CLAIM, margin=-0.05)
    assert verdict(claim, reading(-0.01, 0.03)) == "holds"
    assert verdict(claim, reading(-0.1, 0.03)) == "does not hold"


def test_p_is_that_of_students_t_whose_interval_this_is():
    """A t statistic of 3 on 4 degrees of freedom, written as an interval, comes back."""
    error = 0.02
    found = reading(0.1 + 3 * error, float(t.ppf(0.975, 4)) * error, n=5)
    assert p_value(CLAIM, found) == pytest.approx(2 * t.sf(3, 4))


def test_the_experiments_own_p_counts_where_the_margin_is_zero_only():
    assert p_value(replace(CLAIM, margin=0.0), reading(0.2, 0.05, p=0.3)) == 0.3
    assert p_value(CLAIM, reading(0.2, 0.05, p=0.3)) < 0.01


@pytest.mark.parametrize("freedom", [2, 7, 60])
def test_where_p_is_known_the_margin_is_held_against_with_its_degrees_of_freedom(freedom: int):
    """t = 5 against zero and 4 against the margin, with more freedom than the seeds say."""
    error = 0.1
    half = float(t.ppf(0.975, freedom)) * error
    found = reading(0.5, half, n=3, p=float(2 * t.sf(5, freedom)))
    assert p_value(CLAIM, found) == pytest.approx(2 * t.sf(4, freedom), rel=1e-4)


def test_holm_counts_the_claims_of_the_paper():
    """p = .03 holds alone, and not beside a second claim with the same p."""
    claim = replace(CLAIM, margin=0.0)
    one = reading(0.2, 0.15, p=0.03)
    assert verdict(claim, one) == "holds"
    assert [c.verdict for c in judged([claim, claim], [one, one], False)] == ["not shown"] * 2
    assert "correction for 2" in judged([claim, claim], [one, one], False)[0].rule


def test_what_is_not_asked_does_not_count_in_the_correction():
    claim = replace(CLAIM, margin=0.0)
    found = judged([claim, PaperClaim("elsewhere", why_not="no such nets")], [reading(0.2, 0.15, p=0.03), None], False)
    assert [c.verdict for c in found] == ["holds", "not applicable"]
    assert found[1].about["note"] == "no such nets"
    assert math.isnan(found[1].measured)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_seeds_carry_no_claim(n: int):
    assert verdict(CLAIM, reading(5.0, 0.01, n)) == "not shown"
    assert verdict(CLAIM, reading(5.0, 0.01, n), quick=True) == "quick: no claim"
    found = judged([CLAIM], [reading(5.0, 0.01, n)], True)[0]
    assert found.measured == 5.0
    own = replace(CLAIM, rule="the experiment's own")
    assert verdict(own, reading(5.0, 0.01, n, verdict="holds"), quick=True) == "quick: no claim"


def test_three_seeds_of_a_quick_run_do():
    assert verdict(CLAIM, reading(5.0, 0.01, 3), quick=True) == "holds"


def test_an_interval_without_width_is_no_certainty():
    assert verdict(CLAIM, reading(5.0, 0.0)) == "not shown"
    assert verdict(CLAIM, Reading(5.0, n=10)) == "not shown"


def test_an_identity_needs_no_interval():
    claim = replace(CLAIM, rule="below", margin=1e-10)
    assert verdict(claim, Reading(1e-13, exact=True)) == "holds"
    assert verdict(claim, Reading(1e-3, exact=True)) == "does not hold"


def test_the_experiments_own_rule_is_taken_over():
    own = replace(CLAIM, rule="the experiment's own")
    found = judged([own], [reading(0.2, 0.05, verdict="does not hold", rule="in every run")], False)[0]
    assert (found.verdict, found.rule) == ("does not hold", "in every run")
    assert math.isnan(found.about["margin"])


def test_a_barred_reading_keeps_its_number_and_its_reason():
    found = judged([CLAIM], [reading(5.0, 0.01, barred="masked")], False)[0]
    assert (found.verdict, found.measured) == ("not shown", 5.0)
    assert "masked" in found.about["note"]


def test_a_reading_can_say_that_the_claim_cannot_be_asked():
    found = judged([CLAIM], [Reading(float("nan"), why_not="no template")], False)[0]
    assert (found.verdict, found.about["note"]) == ("not applicable", "no template")


def test_a_descriptive_number_has_no_verdict():
    found = judged([replace(CLAIM, rule="descriptive")], [reading(0.4, 0.1)], False)[0]
    assert (found.verdict, found.measured) == ("not applicable", 0.4)


def test_what_would_have_to_differ_is_said_only_where_a_claim_does_not_hold():
    claim = replace(CLAIM, otherwise="more layers")
    assert "more layers" in judged([claim], [reading(-1.0, 0.05)], False)[0].about["note"]
    assert "more layers" not in judged([claim], [reading(1.0, 0.05)], False)[0].about["note"]
