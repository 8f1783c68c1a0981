"""Which examples of a pool to label: greedy choices on the graph or the geometry of their embeddings, before any label is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from iclmech._base import PromptError, np_rng
from iclmech.tasks import Example, Query

from ._vectors import Embeddings, TextVectors, neighbours

MOST = 5_000
"""Examples whose similarities are all compared at once."""


class Annotation(ABC):
    """A greedy choice of rows; the rows of a smaller size are the first of those of a larger one.

    Args:
        embeddings: as in `TextVectors`; a matrix with fewer rows than there are training examples is the whole pool.
    """

    name = ""

    def __init__(self, embeddings: Embeddings):
        self.vectors = TextVectors(embeddings, type(self).__name__)
        self._made: dict[tuple[int, int], list[int]] = {}

    @abstractmethod
    def order(self, vectors: Float[np.ndarray, "row d"], size: int, seed: int) -> list[int]:
        """`size` rows of unit vectors, in the order in which they are chosen."""

    def pool(self, train: Sequence[Example], size: int, seed: int = 0) -> list[int]:
        """The rows of `train` to annotate.

        Args:
            train: the training examples, whose labels are not looked at.
            size: how many.
            seed: of what is random in the method.

        Raises:
            PromptError: more than there are, or too many examples to compare.
        """
        vectors = self.vectors.of_train(train)
        if not 0 < size <= len(vectors) or len(vectors) > MOST:
            raise PromptError(
                f"{type(self).__name__}: got size={size} of {len(vectors)} examples; expected at least 1, no more than there are, and at most "
                f"{MOST} examples. Embed a random part of them: a matrix with fewer rows is the whole pool."
            )
        key = (len(vectors), seed)
        if len(self._made.get(key, ())) < size:
            self._made[key] = self.order(vectors, size, seed)
        return self._made[key][:size]

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        """The first k rows, the same for every query."""
        return self.pool(train, k, seed)


class VoteK(Annotation):
    """Fast vote-k: examples that many others have as a neighbour, and few neighbours of those already chosen.

    Every row votes for its `neighbours` nearest ones. A row's score is Σ 10^(-s(v)) over the unchosen rows v that vote for it,
    s(v) being how many chosen rows v has voted for; the highest is chosen, the lowest row of equals. When no vote is left the
    rest is drawn at random (the released code gives duplicates there).

    Args:
        embeddings: as in `TextVectors`.
        neighbours: votes of each row.

    Source: Su et al., arXiv 2209.01975, the graph part of vote-k; its second stage, by the model's confidence, is not here.

    >>> import numpy as np
    >>> line = np.array([[1.0, t] for t in (0.0, 0.1, 0.2, 0.3, 5.0)])
    >>> VoteK(line, neighbours=2).order(TextVectors(line).matrix, 1, seed=0)
    [2]
    """

    name = "vote-k"

    def __init__(self, embeddings: Embeddings, neighbours: int = 150):
        super().__init__(embeddings)
        self.neighbours = neighbours

    def order(self, vectors: Float[np.ndarray, "row d"], size: int, seed: int) -> list[int]:
        """Greedy by votes."""
        n = len(vectors)
        rows, _ = neighbours(vectors, self.neighbours)
        voters = np.repeat(np.arange(n), rows.shape[1])
        votes = csr_array((np.ones(rows.size), (rows.ravel(), voters)), shape=(n, n))  # [row, voter]
        spent, unchosen, chosen = np.zeros(n), np.ones(n, dtype=bool), []
        while len(chosen) < size:
            scores = np.where(unchosen, votes @ (unchosen * 10.0**-spent), -1.0)
            best = int(scores.argmax())
            if scores[best] <= 0:
                left = np.flatnonzero(unchosen)
                return chosen + [int(r) for r in np_rng(seed, "vote-k rest").permutation(left)[: size - len(chosen)]]
            chosen.append(best)
            unchosen[best] = False
            spent += votes[[best]].toarray()[0]
        return chosen


class Diversity(Annotation):
    """Each next example is the one least like those chosen: the lowest sum of cosines to them, after one drawn at random.

    Source: the diversity baseline of Su et al., arXiv 2209.01975.

    >>> import numpy as np
    >>> corners = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [0.0, 1.0]])
    >>> sorted(Diversity(corners).order(TextVectors(corners).matrix, 4, seed=0))
    [0, 1, 2, 3]
    """

    name = "diversity"

    def order(self, vectors: Float[np.ndarray, "row d"], size: int, seed: int) -> list[int]:
        """Greedy by the lowest summed similarity."""
        first = int(np_rng(seed, "diversity start").integers(len(vectors)))
        chosen, likeness = [first], vectors @ vectors[first]
        while len(chosen) < size:
            likeness[chosen] = np.inf
            chosen.append(int(likeness.argmin()))
            likeness = likeness + vectors @ vectors[chosen[-1]]
        return chosen


class FacilityLocation(Annotation):
    """Examples that stand for all others: greedy maximum of Σ_v max_{u chosen} cos(u, v).

    The sum is submodular, so greedy reaches at least 1 - 1/e of the best (cosines below 0 count as 0, as nothing chosen does).

    Source: maximising facility location as in Su et al., arXiv 2209.01975; Nemhauser, Wolsey, Fisher 1978 for the bound.

    >>> import numpy as np
    >>> groups = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> FacilityLocation(groups).order(TextVectors(groups).matrix, 2, seed=0)
    [1, 4]
    """

    name = "facility-location"

    def order(self, vectors: Float[np.ndarray, "row d"], size: int, seed: int) -> list[int]:
        """Greedy by the gain in coverage."""
        cosines = np.maximum(vectors @ vectors.T, 0.0)
        covered, chosen = np.zeros(len(vectors)), []
        while len(chosen) < size:
            gains = np.maximum(cosines - covered, 0.0).sum(axis=1)
            gains[chosen] = -1.0
            chosen.append(int(gains.argmax()))
            covered = np.maximum(covered, cosines[chosen[-1]])
        return chosen
