"""IDEAL: examples from which the others are reached on a graph of neighbours, counted on live-edge graphs that are drawn once."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from iclmech._base import PromptError, np_rng

from ._annotation import Annotation
from ._vectors import Embeddings, neighbours

Graph = list[list[int]]
"""For each row the rows that it reaches in one step."""


class IDEAL(Annotation):
    """Greedy maximum of the influence of a set: how many rows an independent cascade from it reaches, on average.

    Row u influences each of its `neighbours` nearest rows v with probability cos(u, v) / Σ cos(u, ·). An independent cascade is
    the same as reachability in a graph that keeps each edge with its probability (a *live-edge graph*). Here `samples` such
    graphs are drawn once, so influence is an exact, submodular count on them, and lazy greedy evaluation gives the greedy set
    without evaluating every row again. The released code simulates anew for every gain and starts from row 0, since
    all rows have the same number of neighbours.

    Args:
        embeddings: as in `TextVectors`.
        neighbours: edges of each row.
        samples: live-edge graphs.

    Source: Zhang et al., arXiv 2310.10873; live edges, Kempe, Kleinberg, Tardos 2003; lazy greedy, Leskovec et al. 2007.

    >>> import numpy as np
    >>> star = np.array([[1.0, 0.0], [1.0, 0.2], [1.0, -0.2], [0.0, 1.0]])
    >>> len(IDEAL(star, neighbours=2).order(star, 3, seed=0))
    3
    """

    name = "ideal"

    def __init__(self, embeddings: Embeddings, neighbours: int = 10, samples: int = 10):
        super().__init__(embeddings)
        if neighbours < 1 or samples < 1:
            raise PromptError(f"IDEAL: got neighbours={neighbours}, samples={samples}; expected 1 or more of each.")
        self.neighbours, self.samples = neighbours, samples

    def order(self, vectors: Float[np.ndarray, "row d"], size: int, seed: int) -> list[int]:
        """Lazy greedy by influence."""
        rows, cosines = neighbours(vectors, self.neighbours)
        return lazy_greedy(live_edges(rows, cosines, self.samples, seed), size)


def live_edges(rows: np.ndarray, weights: np.ndarray, samples: int, seed: int) -> list[Graph]:
    """Graphs that keep each edge u → rows[u, i] with probability weights[u, i] / Σ weights[u] (negative ones count as 0).

    >>> import numpy as np
    >>> live_edges(np.array([[1], [0]]), np.array([[0.5], [0.0]]), samples=1, seed=0)
    [[[1], []]]
    """
    weights = np.maximum(weights, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    chance = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    drawn = np_rng(seed, "live edges").random((samples, *chance.shape)) < chance
    return [[[int(v) for v in rows[u][kept[u]]] for u in range(len(rows))] for kept in drawn]


def influence(graphs: Sequence[Graph], chosen: Iterable[int]) -> float:
    """Rows reached from `chosen`, themselves included, averaged over the graphs.

    >>> influence([[[1], [2], [], []], [[], [2], [], []]], [0, 3])
    3.0
    """
    starts = list(chosen)
    return sum(len(_reached(graph, starts, set())) for graph in graphs) / len(graphs)


def lazy_greedy(graphs: Sequence[Graph], size: int) -> list[int]:
    """The greedy set of most influence; a gain can only shrink, so a row is evaluated again only when it comes first.

    Equal gains: the lowest row.

    >>> lazy_greedy([[[1], [2], [], [4], []]], 2)
    [0, 3]
    """
    covered: list[set[int]] = [set() for _ in graphs]
    chosen: list[int] = []
    queue = [(-sum(len(_reached(g, [row], set())) for g in graphs), row, 0) for row in range(len(graphs[0]))]
    heapq.heapify(queue)
    while len(chosen) < size:
        _, row, known = heapq.heappop(queue)
        if known < len(chosen):
            fresh = sum(len(_reached(g, [row], c)) for g, c in zip(graphs, covered, strict=True))
            heapq.heappush(queue, (-fresh, row, len(chosen)))
            continue
        chosen.append(row)
        for graph, seen in zip(graphs, covered, strict=True):
            seen |= _reached(graph, [row], seen)
    return chosen


def _reached(graph: Graph, starts: Sequence[int], covered: set[int]) -> set[int]:
    """Rows reached that are not covered; what a covered row reaches is covered as well."""
    found = {row for row in starts if row not in covered}
    todo = list(found)
    while todo:
        for row in graph[todo.pop()]:
            if row not in found and row not in covered:
                found.add(row)
                todo.append(row)
    return found
