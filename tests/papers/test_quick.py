"""Six papers asked in earnest, one for each family of experiments: every claim that can be asked gets a number, in time."""

from __future__ import annotations

import math

import pytest

import iclmech as icl
from iclmech.papers import Reproduction

SIX = ("shen2024", "cho2025", "hendel2023", "li2024", "vonoswald2023", "kirsch2022")
VERDICTS = {"holds", "does not hold", "not shown", "not applicable", "quick: no claim"}


@pytest.fixture(scope="module", params=SIX)
def found(request: pytest.FixtureRequest) -> Reproduction:
    return icl.reproduce(request.param, quick=True)


def test_every_claim_that_can_be_asked_has_a_number(found: Reproduction):
    for claim in found.judged():
        assert claim.verdict in VERDICTS
        if claim.about["run"]:
            assert math.isfinite(claim.measured), claim.claim
            assert claim.about["n"] >= 3 or claim.verdict in ("quick: no claim", "holds", "does not hold")


def test_it_is_quick(found: Reproduction):
    """25 CPU-seconds on the machine that the sizes were chosen on; twice that leaves room for a slower one."""
    assert sum(run["seconds"] for run in found.provenance["runs"].values()) < 50


def test_what_is_exact_or_plain_comes_out(found: Reproduction):
    """Verdicts that no draw of seeds should move."""
    verdicts = {claim.claim: claim.verdict for claim in found.judged()}
    expected = {
        "A layer of linear attention can be a step of gradient descent, exactly": "holds",
        "Layers of linear attention can be steps of GD++, exactly": "holds",
        "ICL and GD agree less on the most probable tokens than ICL with itself in another order": "holds",
    }
    for claim, verdict in expected.items():
        assert verdicts.get(claim, verdict) == verdict
