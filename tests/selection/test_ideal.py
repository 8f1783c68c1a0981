"""Influence on live-edge graphs against reachability by matrix powers, a plain greedy search, and simulated cascades."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech.selection import IDEAL, influence, live_edges
from iclmech.selection._ideal import lazy_greedy
from iclmech.selection._vectors import TextVectors, neighbours


def random_graphs(n: int = 25, samples: int = 6) -> list[list[list[int]]]:
    generator = np.random.default_rng(0)
    return [[[int(v) for v in np.flatnonzero(generator.random(n) < 0.05)] for _ in range(n)] for _ in range(samples)]


def test_two_graphs_by_hand() -> None:
    chain = [[1], [2], [], []]  # 0 → 1 → 2, 3 alone
    split = [[], [2], [], []]
    assert influence([chain, split], [0]) == 2.0  # three rows, then one
    assert influence([chain, split], [0, 1]) == 3.0
    assert lazy_greedy([chain, split], 4) == [
        0,
        1,
        3,
        2,
    ]  # 0 and 1 reach two rows each, 0 is lower; then 1 and 3 gain 1


def test_influence_is_reachability() -> None:
    graphs = random_graphs()
    for chosen in ([3], [0, 7, 11]):
        total = 0
        for graph in graphs:
            step = np.eye(25, dtype=bool)
            for u, targets in enumerate(graph):
                step[u, targets] = True
            total += int(np.linalg.matrix_power(step.astype(float), 25)[chosen].any(axis=0).sum())
        assert influence(graphs, chosen) == pytest.approx(total / len(graphs))


def test_the_lazy_search_is_the_greedy_one() -> None:
    graphs = random_graphs()
    chosen: list[int] = []
    while len(chosen) < 10:
        gains = {u: influence(graphs, [*chosen, u]) for u in range(25) if u not in chosen}
        chosen.append(min(gains, key=lambda u: (-gains[u], u)))
    assert lazy_greedy(graphs, 10) == chosen


def test_live_edges_are_cascades() -> None:
    vectors = TextVectors(np.random.default_rng(1).normal(size=(12, 2))).matrix
    rows, cosines = neighbours(vectors, 3)
    weights = np.maximum(cosines, 0)
    chance = weights / weights.sum(axis=1, keepdims=True)
    generator, sizes = np.random.default_rng(2), []
    for _ in range(3000):
        active, new = {0}, [0]
        while new:
            u = new.pop()
            hit = {int(v) for v in rows[u][generator.random(3) < chance[u]]} - active
            active |= hit
            new += hit
        sizes.append(len(active))
    found = influence(live_edges(rows, cosines, 3000, seed=0), [0])
    assert found == pytest.approx(np.mean(sizes), abs=4 * np.std(sizes) * (2 / 3000) ** 0.5)
    assert 1 < found < 12


def test_ideal_chooses_what_reaches_most() -> None:
    vectors = TextVectors(np.random.default_rng(3).normal(size=(30, 3))).matrix
    method = IDEAL(vectors, neighbours=4, samples=20)
    chosen = method.order(vectors, 5, seed=1)
    graphs = live_edges(*neighbours(vectors, 4), 20, seed=1)
    assert influence(graphs, chosen[:1]) == max(influence(graphs, [u]) for u in range(30))
    others = [influence(graphs, np.random.default_rng(s).permutation(30)[:5].tolist()) for s in range(20)]
    assert influence(graphs, chosen) > max(others)
