"""Is a model right as often as it is sure? Calibration error with the floor that chance alone gives, and Brier's score."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng

from ._agreement import Scores, as_classes, label_scores_of
from ._states import AnalysisError, Labels


def ece(acts: Scores, labels: Labels, bins: int = 10, *, how: str = "mass") -> Float[Tensor, ""]:
    """Expected calibration error: the mean gap between confidence and accuracy over bins of confidence, in [0, 1].

    Σ_b (n_b / n)·|accuracy_b - mean confidence_b|, confidence being the largest label probability. Never to be read
    without `ece_floor`: few queries give a large error to a perfect predictor. Queries of exactly the same confidence
    are spread over the bins in equal parts, so their order does not matter.

    Args:
        acts: activations (`label_scores` are used), or label scores [query, label]; softmax over labels.
        labels: class indices; queries without one are left out.
        bins: how many.
        how: "mass", as many queries in each bin; "width", bins of equal width on [0, 1].

    Returns:
        The error; NaN without a labelled query.

    Raises:
        AnalysisError: no bins, an unknown `how`, or another number of labels.

    Source: Naeini, Cooper, Hauskrecht, AAAI 2015; ten bins as in Li et al., arXiv 2312.13772.

    >>> import torch, iclmech as icl
    >>> scores = torch.tensor([[0.8, 0.2]] * 5).log()  # sure at .8, right three times in five
    >>> round(icl.metrics.ece(scores, [0, 0, 0, 1, 1]).item(), 4)
    0.2
    """
    probabilities, truth = labelled_queries(acts, labels)
    confidence, answer = probabilities.max(dim=-1)
    hits = (answer == truth).double()
    return _errors(confidence, hits[None], bins, how)[0].float()


def ece_floor(
    acts: Scores, bins: int = 10, *, how: str = "mass", quantile: float | None = None, draws: int = 200, seed: int = 0
) -> Float[Tensor, ""]:
    """What `ece` would show, on average, if the model were perfectly calibrated: with these confidences and this many queries.

    By simulation: each answer is right with the probability that the model gives it. With confidences uniform on
    [.5, 1] and bins of equal width it is about .09 at 64 queries and .02 at 1000.

    Args:
        acts: activations, or label scores [query, label].
        bins, how: as in `ece`.
        quantile: this quantile of the simulated errors in place of their mean, such as .95: an error above it is shown.
        draws: simulated label sets.
        seed: of the simulation.

    Raises:
        AnalysisError: no bins, an unknown `how`, or a quantile outside (0, 1).

    Source: consistency resampling, Bröcker and Smith, Weather and Forecasting 2007.

    >>> import torch, iclmech as icl
    >>> generator = torch.Generator().manual_seed(0)
    >>> confidence = 0.5 + 0.5 * torch.rand(64, generator=generator)
    >>> 0.06 < icl.metrics.ece_floor(torch.stack([confidence, 1 - confidence], dim=-1).log(), how="width") < 0.12
    tensor(True)
    """
    if quantile is not None and not 0 < quantile < 1:
        raise AnalysisError(
            f"got quantile={quantile}; expected one between 0 and 1, such as 0.95, or None for the mean."
        )
    probabilities = label_probabilities_of(acts)
    confidence = probabilities[~probabilities.isnan().any(dim=-1)].max(dim=-1).values
    drawn = torch.rand(draws, len(confidence), generator=rng(seed, "calibration floor"), dtype=torch.float64)
    errors = _errors(confidence, (drawn < confidence).double(), bins, how)
    return (errors.mean() if quantile is None else errors.quantile(quantile)).float()


def brier(acts: Scores, labels: Labels) -> Float[Tensor, " query"]:
    """Brier's score of each query: Σ_c (p_c - 1[c = gold])², between 0 (sure and right) and 2 (sure and wrong); NaN without a label.

    Args:
        acts: activations, or label scores [query, label]; p is their softmax over labels.
        labels: class indices.

    Raises:
        AnalysisError: another number of labels.

    Source: Brier, Monthly Weather Review 1950.

    >>> import torch, iclmech as icl
    >>> icl.metrics.brier(torch.tensor([[0.0, 0.0]]), [1]).item()
    0.5
    """
    probabilities = label_probabilities_of(acts)
    truth = as_classes(labels, len(probabilities))
    gold = torch.nn.functional.one_hot(truth.clamp(min=0), probabilities.shape[1])
    return torch.where(truth >= 0, (probabilities - gold).square().sum(dim=-1), torch.nan).float()


def label_probabilities_of(acts: Scores) -> Tensor:
    scores = label_scores_of(acts).double()
    if not scores.shape[1]:
        raise AnalysisError("got scores without labels (a free-text task); calibration needs label words.")
    return scores.softmax(dim=-1)


def labelled_queries(acts: Scores, labels: Labels) -> tuple[Tensor, Tensor]:
    probabilities = label_probabilities_of(acts)
    truth = as_classes(labels, len(probabilities))
    keep = (truth >= 0) & ~probabilities.isnan().any(dim=-1)
    return probabilities[keep], truth[keep]


def bin_weights(confidence: Tensor, bins: int, how: str) -> Float[Tensor, "query bin"]:
    """Which bin each query belongs to, in parts where queries of one confidence lie across the edge of a bin.

    Raises:
        AnalysisError: no bins, or an unknown `how`.
    """
    if bins < 1 or how not in ("mass", "width"):
        raise AnalysisError(f"got bins={bins} and how={how!r}; expected 1 or more, and 'mass' or 'width'.")
    n = len(confidence)
    if how == "width":
        member = (confidence * bins).ceil().long().clamp(1, bins) - 1
    else:
        rank = confidence.argsort(stable=True).argsort(stable=True)
        member = rank * bins // max(n, 1)
    weights = torch.nn.functional.one_hot(member, bins).double()
    _, tie = confidence.unique(return_inverse=True)
    shared = torch.zeros(int(tie.max()) + 1 if n else 0, bins, dtype=torch.float64).index_add_(0, tie, weights)
    return (shared / torch.bincount(tie)[:, None])[tie] if n else weights


def _errors(confidence: Tensor, hits: Tensor, bins: int, how: str) -> Tensor:
    """ECE of several sets of answers, [draw], to queries of these confidences."""
    weights = bin_weights(confidence, bins, how)
    if not len(confidence):
        return torch.full((len(hits),), torch.nan, dtype=torch.float64)
    return ((hits - confidence) @ weights).abs().sum(dim=-1) / len(confidence)
