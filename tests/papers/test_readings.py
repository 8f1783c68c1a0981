"""What is picked out of results, on results that were planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from iclmech._base import Claim, ICLMechError, Result
from iclmech.papers import Reading
from iclmech.papers._readings import (
    claimed,
    draws,
    identity,
    in_every_run,
    in_most,
    over_seeds,
    unpaired,
    valued,
    variable,
)


class Planted(Result):
    kind = "planted"

    def judged(self) -> list[Claim]:
        about = {"p": 0.01, "why_not": "masked"}
        return [
            Claim("A beats B", 0.4, 0.3, 0.5, "B", "own rule", "holds"),
            Claim("A beats C", 0.1, -0.1, 0.3, "C", "own rule", "not shown", about),
        ]


@pytest.fixture
def result() -> Planted:
    data = xr.Dataset(
        {"m": ("way", [0.7, 0.2]), "m_ci": (("way", "bound"), [[0.6, 0.8], [0.1, 0.4]])},
        {"way": ["x", "y"], "bound": ["low", "high"]},
    )
    return Planted(data, provenance={"request": {"seeds": [0, 1, 5, 6], "n_contexts": 2}})


def test_draws_are_seeds_or_sets_of_demonstrations(result: Planted):
    assert draws(result) == 4
    assert draws(Planted(result.data, provenance={"request": {"seeds": 1, "n_contexts": 8}})) == 8
    assert draws(Planted(result.data, provenance={})) == 0


def test_a_claims_number_comes_with_its_verdict_or_without(result: Planted):
    found = claimed("beats B")(result)
    assert (found.measured, found.low, found.high, found.n, found.verdict, found.rule) == (
        0.4,
        0.3,
        0.5,
        4,
        "holds",
        "own rule",
    )
    other = valued(claimed("beats C"))(result)
    assert (other.p, other.barred, other.verdict, other.rule) == (0.01, "masked", None, "")


def test_a_claim_that_is_not_there_is_an_error_that_lists_those_that_are(result: Planted):
    with pytest.raises(ICLMechError, match="'beats D'; it has: A beats B; A beats C"):
        claimed("beats D")(result)


def test_a_variable_is_read_with_its_interval(result: Planted):
    found = variable("m", way="y")(result)
    assert (found.measured, found.low, found.high, found.n) == (0.2, 0.1, 0.4, 4)


def test_a_difference_of_unpaired_numbers_has_the_widest_interval(result: Planted):
    found = unpaired(result, ("m", {"way": "x"}), ("m", {"way": "y"}))
    assert found.measured == pytest.approx(0.5)
    assert (found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.7))


def test_the_interval_over_seeds_is_students():
    values = [0.1, 0.4, 0.3, 0.2]
    found = over_seeds([*values, math.nan])
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.n == 4
    assert found.note == "1 of 5 runs without a value"


def test_one_seed_has_no_interval():
    assert math.isnan(over_seeds([0.3]).low)
    assert math.isnan(over_seeds([math.nan]).measured)


@pytest.mark.parametrize(
    ("fine", "verdict"), [((True, True), "holds"), ((True, False), "not shown"), ((False, False), "does not hold")]
)
def test_a_rule_on_every_run_takes_every_run(fine: tuple[bool, bool], verdict: str):
    found = in_every_run([1.0, 3.0], fine, "large")
    assert (found.measured, found.low, found.high, found.n, found.verdict) == (2.0, 1.0, 3.0, 2, verdict)


def tasks(*intervals: tuple[float, float]) -> dict[str, Reading]:
    return {str(n): Reading((a + b) / 2, a, b, 5) for n, (a, b) in enumerate(intervals)}


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        (((0.1, 0.2), (0.1, 0.3), (-0.1, 0.1)), "holds"),
        (((0.1, 0.2), (0.1, 0.3), (-0.2, -0.06)), "not shown"),  # one far below
        (((0.1, 0.2), (0.1, 0.3), (-0.2, -0.01)), "holds"),  # one below, not far
        (((0.1, 0.2), (-0.1, 0.3)), "not shown"),  # half are not most
        (((-0.3, -0.1), (-0.2, -0.1), (0.1, 0.2)), "does not hold"),
    ],
)
def test_most_tasks_have_to_lie_above_and_none_far_below(intervals: tuple[tuple[float, float], ...], verdict: str):
    assert in_most(tasks(*intervals), floor=-0.05).verdict == verdict


def test_the_number_over_tasks_is_their_median():
    found = in_most(tasks((0.0, 0.2), (0.4, 0.6), (0.2, 0.4), (0.8, 1.0)), floor=-0.05)
    assert (found.measured, found.low, found.high) == (pytest.approx(0.4), pytest.approx(0.1), pytest.approx(0.9))


def test_an_identity_is_exact():
    assert identity(1e-12).exact
