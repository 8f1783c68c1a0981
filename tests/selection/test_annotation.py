"""Annotation methods against choices worked out by hand and against the naive form of their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech._base import PromptError
from iclmech.selection import Diversity, FacilityLocation, VoteK
from iclmech.selection._vectors import TextVectors, neighbours
from iclmech.tasks import Example

TRAIN = [Example({"text": str(i)}, i % 2) for i in range(40)]


def points(n: int = 40, seed: int = 0) -> np.ndarray:
    return TextVectors(np.random.default_rng(seed).normal(size=(n, 3))).matrix


def test_votes_on_a_line_go_to_the_middle_then_to_the_other_end() -> None:
    angles = np.array(
        [0.0, 0.1, 0.21, 2.0, 2.1, 2.21]
    )  # two groups of three; in each the middle is nearest to both ends
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # one vote each: 0→1, 1→0, 2→1, 3→4, 4→3, 5→4. Row 1 has two votes, row 4 has two; then 0 has 1's, but 1 is chosen
    assert VoteK(vectors, neighbours=1).order(vectors, 2, seed=0) == [1, 4]
    rest = VoteK(vectors, neighbours=1).order(vectors, 6, seed=0)
    assert sorted(rest) == list(range(6))  # no votes are left after two, and no row comes twice


def test_vote_k_is_its_definition() -> None:
    vectors = points()
    rows, _ = neighbours(vectors, 5)
    chosen: list[int] = []
    while len(chosen) < 12:
        scores = {}
        for u in set(range(40)) - set(chosen):
            voters = [v for v in range(40) if u in rows[v] and v not in chosen]
            scores[u] = sum(10.0 ** -sum(1 for s in chosen if s in rows[v]) for v in voters)
        chosen.append(min(scores, key=lambda u: (-round(scores[u], 9), u)))
    assert VoteK(vectors, neighbours=5).order(vectors, 12, seed=0) == chosen


def test_diversity_takes_the_least_similar() -> None:
    vectors = points(seed=1)
    chosen = Diversity(vectors).order(vectors, 10, seed=3)
    for i in range(1, 10):
        sums = {u: sum(vectors[u] @ vectors[s] for s in chosen[:i]) for u in set(range(40)) - set(chosen[:i])}
        assert chosen[i] == min(sums, key=lambda u: sums[u])


def test_facility_location_gains_the_most_at_every_step() -> None:
    vectors = points(seed=2)

    def value(chosen: list[int]) -> float:
        return sum(max(max(float(v @ vectors[u]) for u in chosen), 0.0) for v in vectors)

    chosen = FacilityLocation(vectors).order(vectors, 6, seed=0)
    for i in range(6):
        best = max(value([*chosen[:i], u]) for u in range(40) if u not in chosen[:i])
        assert value(chosen[: i + 1]) == pytest.approx(best)


@pytest.mark.parametrize("method", [VoteK, Diversity, FacilityLocation])
def test_small_pools_begin_large_ones_and_too_large_ones_are_refused(method: type) -> None:
    chooser = method(points())
    assert chooser.pool(TRAIN, 15)[:4] == chooser.pool(TRAIN, 4)
    assert len(set(chooser.pool(TRAIN, 40))) == 40
    with pytest.raises(PromptError, match="got size=41 of 40 examples"):
        chooser.pool(TRAIN, 41)
    shorter = method(points()[:10])
    assert max(shorter.pool(TRAIN, 10)) == 9
