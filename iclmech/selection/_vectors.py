"""Vectors of texts, however they were handed over, as rows of length 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from iclmech._base import PromptError
from iclmech.tasks import Example, Query

Embeddings = Any
"""A matrix, a pair of matrices, or a function from texts to a matrix: see `TextVectors`."""


class TextVectors:
    """Vectors of training examples and of queries, scaled to length 1 so that a product is a cosine.

    Args:
        given: one of
            a matrix [row, d]: the training examples in their order, then, where queries are embedded as well, the test examples;
            a pair of matrices: of the training and of the test examples;
            a function from a list of texts to a matrix, called once for the training texts and once for each query, such as
            `lambda texts: icl.selection.embed(model, texts)`.
        what: who asks, for the texts of errors.

    Raises:
        PromptError: something else, or vectors that are not finite.

    >>> import numpy as np
    >>> TextVectors(np.array([[3.0, 4.0], [0.0, 2.0]])).matrix.round(1).tolist()
    [[0.6, 0.8], [0.0, 1.0]]
    """

    def __init__(self, given: Embeddings, what: str = "selection"):
        self.what = what
        self._function: Callable[[list[str]], Any] | None = None
        self._known: dict[str, np.ndarray] = {}
        self._trained: tuple[list[str], np.ndarray] | None = None
        self.matrix = np.zeros((0, 0))
        self.queries: np.ndarray | None = None
        if isinstance(given, TextVectors):
            self.__dict__.update(given.__dict__, what=what)
        elif callable(given):
            self._function = given
        elif isinstance(given, tuple) and len(given) == 2:
            self.matrix, self.queries = self._checked(given[0]), self._checked(given[1])
        else:
            self.matrix = self._checked(given)

    def of_train(self, train: Sequence[Example]) -> Float[np.ndarray, "row d"]:
        """One row for each training example; fewer where the matrix has fewer, which then are all that can be chosen."""
        if self._function is None:
            return self.matrix[: len(train)]
        texts = [example.text for example in train]
        if self._trained is None or self._trained[0] != texts:
            self._trained = texts, self._checked(self._function(texts))
        return self._trained[1]

    def of_query(self, train: Sequence[Example], query: Query) -> Float[np.ndarray, " d"]:
        """The vector of a query.

        Raises:
            PromptError: the matrix has no row for it.
        """
        if self._function is not None:
            if query.text not in self._known:
                self._known[query.text] = self._checked(self._function([query.text]))[0]
            return self._known[query.text]
        if query.index < len(train) and train[query.index].text == query.text and query.index < len(self.matrix):
            return self.matrix[query.index]  # a training example asked about
        rows = self.matrix[len(train) :] if self.queries is None else self.queries
        if query.index >= len(rows):
            raise PromptError(
                f"{self.what}: got vectors of {len(rows)} test examples ({len(self.matrix)} rows, {len(train)} of training examples) and "
                f"query {query.index}; expected one for each. Give (train, test) matrices, one matrix with the test rows below "
                "the training rows, or a function from texts to vectors."
            )
        return rows[query.index]

    def _checked(self, given: Any) -> np.ndarray:
        """Rows of length 1; a row of zeros stays."""
        try:
            table = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PromptError(
                f"{self.what}: got {type(given).__name__}; expected a matrix [row, d] ({error})."
            ) from error
        if table.ndim != 2 or not np.isfinite(table).all():
            raise PromptError(
                f"{self.what}: got vectors of shape {table.shape}{'' if table.ndim != 2 else ' with values that are not finite'}; "
                "expected a finite matrix with one row for each text."
            )
        lengths = np.linalg.norm(table, axis=1, keepdims=True)
        return np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)


def neighbours(vectors: Float[np.ndarray, "row d"], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the `k` nearest other rows by cosine, nearest first, and their cosines; all others where there are fewer.

    >>> import numpy as np
    >>> rows, cosines = neighbours(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), 1)
    >>> rows[:, 0].tolist(), cosines[:, 0].round(2).tolist()
    ([1, 0, 1], [0.8, 0.8, 0.6])
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(vectors) - 1)
    if k < 1:
        return np.zeros((len(vectors), 0), dtype=int), np.zeros((len(vectors), 0))
    found = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(vectors)
    distances, rows = found.kneighbors()  # of the rows themselves: each leaves itself out
    return rows, 1 - distances
