"""The examples most like the query, nearest last; and what their labels alone would answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iclmech._base import PromptError
from iclmech.tasks import Context, Example, Query

from ._vectors import Embeddings, TextVectors

DUPLICATE = 1 - 1e-6
"""From this cosine on, an example is taken for the query itself."""


class KNN:
    """The k training examples most like the query by cosine, the most similar *last*, next to the query.

    Examples with the query's text, or with a cosine of 1, are the query again and are skipped.

    Args:
        embeddings: as in `TextVectors`: a matrix of training rows with the test rows below, a pair of matrices, or a function.
        rows: training examples that may be chosen (the annotated ones); all by default.

    Source: Liu et al., arXiv 2101.06804; the order and the skipping are those of Su et al., arXiv 2209.01975.

    >>> import iclmech as icl
    >>> model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
    >>> nearest = icl.selection.KNN(lambda texts: icl.selection.embed(model, texts))
    >>> prompts = icl.build_prompts(model, task, k=2, n_queries=3, selection=nearest)
    >>> len(prompts.contexts)
    3
    """

    name = "knn"

    def __init__(self, embeddings: Embeddings, rows: Sequence[int] | None = None):
        self.vectors = TextVectors(embeddings, "KNN")
        self.rows = None if rows is None else [int(row) for row in rows]

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        """The nearest rows, nearest last."""
        from sklearn.neighbors import NearestNeighbors

        vectors = self.vectors.of_train(train)
        rows = np.arange(len(vectors)) if self.rows is None else np.asarray(self.rows, dtype=int)
        if not len(rows) or rows.max() >= len(vectors) or rows.min() < 0:
            raise PromptError(
                f"KNN: got rows up to {rows.max() if len(rows) else None} and {len(vectors)} vectors; expected some rows that have one."
            )
        own = self.vectors.of_query(train, query)
        found = NearestNeighbors(n_neighbors=len(rows), metric="cosine", algorithm="brute").fit(vectors[rows])
        distances, order = found.kneighbors(own[None])
        kept = [
            int(rows[at])
            for distance, at in zip(distances[0], order[0], strict=True)
            if 1 - distance < DUPLICATE and train[int(rows[at])].text != query.text
        ]
        if not kept:
            raise PromptError(f"KNN: every example is a duplicate of query {query.index}; give other examples.")
        return kept[:k][::-1]


def label_vote(context: Context) -> int | None:
    """The majority label of the demonstrations before a query, the *control of retrieval*: what needs no model at all.

    Ties go to the tied label that stands nearest to the query. None without demonstrations or labels.

    >>> import iclmech as icl
    >>> task = icl.Task.from_records([{"text": t, "label": y} for t, y in (("a", 0), ("b", 1), ("c", 1))], [{"text": "d", "label": 1}],
    ...     "{text}:", ["no", "yes"])
    >>> prompts = icl.build_prompts(icl.load_model("icl-mini"), task, k=3, n_queries=1)
    >>> label_vote(prompts.contexts[0])
    1
    """
    labels = [d.label for d in context.demonstrations if d.label is not None]
    if not labels:
        return None
    most = max(labels.count(label) for label in labels)
    return next(label for label in reversed(labels) if labels.count(label) == most)
