"""Chance is the best constant answer, not one over the number of label words."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ._agreement import Scores, as_classes, correct, predictions
from ._states import AnalysisError, Labels


def best_constant(labels: Labels) -> int:
    """The most frequent gold class c*: the constant answer that is right most often. The smallest index of several.

    Taken from the scored queries it is conservative, since no model knows it beforehand; from the labels of the
    training examples it is what a model could have learnt. Where label words are redrawn with every seed, each seed has
    its own.

    Args:
        labels: class indices; None or a negative index where a query has no class.

    Raises:
        AnalysisError: no query has a class.

    >>> import iclmech as icl
    >>> icl.metrics.best_constant([0, 2, 2, None, 1])
    2
    """
    classes = as_classes(labels, len(labels))
    known = classes[classes >= 0]
    if not len(known):
        raise AnalysisError("got no query with a class; expected at least one to know the most frequent.")
    return int(torch.bincount(known).argmax())


def above_constant(acts: Scores, labels: Labels, constant: int | None = None) -> Float[Tensor, " query"]:
    """1[right] - 1[gold = c*]: by how much a query speaks for the model over the best constant answer.

    Paired by query, values -1, 0, 1, NaN without a label or a prediction; `statistics.two_way_interval(...,
    binary="difference")` of it says whether a model is above chance. A model that gives one word is never above zero on
    average.

    Args:
        acts: activations, or label scores [query, label].
        labels: class indices of the queries.
        constant: c*; by default `best_constant(labels)`.

    Raises:
        AnalysisError: another number of labels, or none at all.

    >>> import torch, iclmech as icl
    >>> icl.metrics.above_constant(torch.eye(2)[[0, 1, 0]], [0, 1, 0]).tolist()
    [0.0, 1.0, 0.0]
    """
    right = correct(acts, labels)
    answer = best_constant(labels) if constant is None else constant
    return right - (as_classes(labels, len(right)) == answer).float()  # NaN stays NaN


def answer_share(acts: Scores) -> Float[Tensor, ""]:
    """The share of queries that get the most frequent answer; NaN without predictions.

    It belongs beside every accuracy: a model that gives one word for 57 of 60 queries is biased, whatever its accuracy.

    Args:
        acts: activations, or label scores [query, label].

    >>> import torch, iclmech as icl
    >>> icl.metrics.answer_share(torch.eye(2)[[0, 1, 0, 0]]).item()
    0.75
    """
    answers = predictions(acts)
    known = answers[answers >= 0]
    if not len(known):
        return torch.tensor(torch.nan)
    return torch.bincount(known).max() / len(known)
