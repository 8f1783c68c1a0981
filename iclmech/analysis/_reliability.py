"""The reliability diagram as numbers, with the band in which chance alone keeps a calibrated model; the debiased squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng

from ._agreement import Scores
from ._calibration_error import bin_weights, labelled_queries
from ._states import AnalysisError, Labels


class Reliability(NamedTuple):
    """Of each bin of confidence, NaN where it is empty.

    Attributes:
        confidence: mean largest label probability.
        accuracy: share of right answers.
        count: queries in it.
        low, high: where the accuracy of a perfectly calibrated model lies in 95 of 100 draws.
    """

    confidence: Float[Tensor, " bin"]
    accuracy: Float[Tensor, " bin"]
    count: Float[Tensor, " bin"]
    low: Float[Tensor, " bin"]
    high: Float[Tensor, " bin"]


def reliability(
    acts: Scores,
    labels: Labels,
    bins: int = 10,
    *,
    how: str = "mass",
    groups: Sequence[int] | None = None,
    draws: int = 400,
    seed: int = 0,
) -> Reliability:
    """Accuracy by confidence, with the noise floor of each bin.

    Args:
        acts: activations, or label scores [query, label].
        labels: class indices; queries without one are left out.
        bins, how: as in `ece`.
        groups: rows that are the same query (asked behind several demonstration sets): they are right or wrong together in the
            simulated model as far as their confidences allow, which makes the band wider, not narrower.
        draws, seed: of the simulation.

    Returns:
        A `Reliability`.

    Raises:
        AnalysisError: as `ece` does, or another number of groups.

    Source: reliability diagrams with consistency bars, Bröcker and Smith, Weather and Forecasting 2007.

    >>> import torch, iclmech as icl
    >>> found = icl.metrics.reliability(torch.tensor([[0.8, 0.2]] * 5).log(), [0, 0, 0, 1, 1], bins=1)
    >>> round(found.confidence.item(), 2), round(found.accuracy.item(), 2), found.count.item()
    (0.8, 0.6, 5.0)
    """
    probabilities, truth = labelled_queries(acts, labels)
    n = len(truth)
    among = (
        torch.arange(n)
        if groups is None
        else torch.tensor([int(g) for g, y in zip(groups, labels, strict=False) if y is not None and int(y) >= 0])
    )
    if len(among) != n:
        raise AnalysisError(f"got {len(among)} groups for {n} labelled queries without NaN; expected one each.")
    confidence, answer = probabilities.max(dim=-1)
    weights = bin_weights(confidence, bins, how)
    count = weights.sum(dim=0)
    hits = (answer == truth).double()
    luck = torch.rand(
        draws, int(among.max()) + 1 if n else 0, generator=rng(seed, "reliability band"), dtype=torch.float64
    )
    simulated = (luck[:, among] < confidence).double() @ weights / count
    low, high = simulated.nan_to_num().quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    empty = count == 0
    parts = (
        confidence @ weights / count,
        hits @ weights / count,
        count,
        low.masked_fill(empty, torch.nan),
        high.masked_fill(empty, torch.nan),
    )
    return Reliability(*(part.float() for part in parts))


def debiased_ece2(acts: Scores, labels: Labels, bins: int = 10, *, how: str = "mass") -> Float[Tensor, ""]:
    """The squared calibration error without the part that chance adds: about 0 for a calibrated model, below it by chance.

    Σ_b (n_b / n) · [(accuracy_b - confidence_b)² - accuracy_b (1 - accuracy_b) / (n_b - 1)]; bins of one query or less are left out.

    Args:
        acts, labels, bins, how: as in `ece`.

    Source: Kumar, Liang, Ma, arXiv 1909.10155.

    >>> import torch, iclmech as icl
    >>> round(icl.metrics.debiased_ece2(torch.tensor([[0.8, 0.2]] * 5).log(), [0, 0, 0, 1, 1], bins=1).item(), 3)
    -0.02
    """
    probabilities, truth = labelled_queries(acts, labels)
    confidence, answer = probabilities.max(dim=-1)
    weights = bin_weights(confidence, bins, how)
    count = weights.sum(dim=0)
    kept = count > 1
    if not bool(kept.any()):
        return torch.tensor(torch.nan)
    accuracy, sure = ((part.double() @ weights / count)[kept] for part in (answer == truth, confidence))
    gaps = (accuracy - sure).square() - accuracy * (1 - accuracy) / (count[kept] - 1)
    return (gaps * count[kept] / count[kept].sum()).sum().float()


def macro_f1(acts: Scores, labels: Labels) -> Float[Tensor, ""]:
    """The mean over classes of 2·TP / (2·TP + FP + FN): low where one word is answered always. Classes that never occur are left out.

    Args:
        acts: activations, or label scores [query, label].
        labels: class indices; queries without one are left out.

    >>> import torch, iclmech as icl
    >>> round(icl.metrics.macro_f1(torch.tensor([[1.0, 0.0]] * 4), [0, 0, 0, 1]).item(), 3)
    0.429
    """
    probabilities, truth = labelled_queries(acts, labels)
    answer = probabilities.argmax(dim=-1)
    scores = []
    for c in range(probabilities.shape[1]):
        hit, said, there = ((answer == c) & (truth == c)).sum(), (answer == c).sum(), (truth == c).sum()
        if said + there > 0:
            scores.append(2 * hit / (said + there))
    return torch.stack(scores).mean() if scores else torch.tensor(torch.nan)
