"""Ways to join distributions, by hand; and what cannot be joined."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl
from iclmech.analysis import AnalysisError
from iclmech.calibration import ENSEMBLES, ensemble, template_variants


def member(*rows: list[float], labels: list[int | None] | None = None) -> icl.Activations:
    scores = torch.tensor(rows, dtype=torch.float64).log() + 3.0  # a constant for each query changes nothing
    return icl.Activations({}, {}, scores, torch.zeros(len(rows)), "icl", (), {"labels": labels or [0] * len(rows)})


MEMBERS = [member([0.8, 0.1, 0.1]), member([0.1, 0.6, 0.3]), member([0.2, 0.5, 0.3])]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [1.1 / 3, 1.2 / 3, 0.7 / 3]),
        ("log_mean", [0.016 ** (1 / 3), 0.03 ** (1 / 3), 0.009 ** (1 / 3)]),
        ("vote", [1 / 3, 2 / 3, 0.0]),
        ("max", [0.8, 0.6, 0.3]),
    ],
)
def test_by_hand(how: str, expected: list[float]) -> None:
    found = ensemble(MEMBERS, how).label_probs[0]
    wanted = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, wanted / wanted.sum(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("how", ENSEMBLES)
def test_members_that_agree_are_one_model(how: str) -> None:
    joined = ensemble([MEMBERS[0]] * 3, how)
    assert joined.predictions.tolist() == [0]
    if how != "vote":
        torch.testing.assert_close(joined.label_probs, MEMBERS[0].label_probs)


def test_as_many_votes_are_decided_by_the_mean() -> None:
    assert ensemble([member([0.9, 0.1]), member([0.45, 0.55])], "vote").predictions.tolist() == [0]
    assert ensemble([member([0.55, 0.45]), member([0.1, 0.9])], "vote").predictions.tolist() == [1]


def test_refusals() -> None:
    with pytest.raises(AnalysisError, match="how='median'"):
        ensemble(MEMBERS, "median")
    with pytest.raises(AnalysisError, match="with different labels"):
        ensemble([member([0.5, 0.5]), member([0.5, 0.5], labels=[1])])
    with pytest.raises(AnalysisError, match="expected the same queries"):
        ensemble([MEMBERS[0], member([0.5, 0.5])])


def test_templates_keep_their_fields() -> None:
    pair = template_variants("Premise: {a}\nClaim: {b}\nTrue?", n=9)
    assert pair[0] == "Premise: {a}\nClaim: {b}\nTrue?"
    assert all(text.count("{a}") == text.count("{b}") == 1 for text in pair)
    assert "{a}\n{b}" in pair
    assert template_variants("{text}") == ["{text}"]
