"""Do two settings predict alike? Measures on the scores of the label words and on logits over the vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ._states import AnalysisError, Labels

Scores = Any
"""`Activations` (their `label_scores` are used) or the scores themselves, Float[Tensor, "query label"]."""


def label_scores_of(acts: Scores) -> Float[Tensor, "query label"]:
    """The log-scores of the label words: `acts.label_scores`, or `acts` itself if it is a tensor."""
    scores = acts if isinstance(acts, Tensor) else getattr(acts, "label_scores", None)
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        got = f"a tensor of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(acts).__name__
        raise AnalysisError(f"got {got}; expected activations with label_scores, or those scores [query, label].")
    return scores


def predictions(acts: Scores) -> Int[Tensor, " query"]:
    """The label with the highest score, -1 where the scores hold a NaN or there are no label words."""
    scores = label_scores_of(acts)
    if not scores.shape[1]:
        return torch.full((len(scores),), -1)
    return torch.where(torch.isnan(scores).any(dim=-1), -1, scores.nan_to_num(-torch.inf).argmax(dim=-1))


def as_classes(labels: Labels, n: int) -> Int[Tensor, " query"]:
    """Class indices of the queries, -1 where there is none. Raises `AnalysisError` for another number of them."""
    values = labels if isinstance(labels, Tensor) else torch.tensor([-1 if y is None else int(y) for y in labels])
    if values.shape != (n,):
        raise AnalysisError(f"got {tuple(values.shape)} labels for {n} queries; expected one each, in their order.")
    return values.long()


def _answered(acts: Scores, what: str) -> Tensor:
    """What is known of free-text answers: `target_ranks` or `target_scores`."""
    found = getattr(acts, what, None)
    if not isinstance(found, Tensor) or (what == "target_ranks" and len(found) and bool((found < 0).all())):
        raise AnalysisError(
            f"there are no label words (answers are free text); got {type(acts).__name__} without known {what}. "
            "Pass activations, and capture the prompts again if they come from an old file."
        )
    return found


def correct(acts: Scores, labels: Labels | None = None) -> Float[Tensor, " query"]:
    """1 where the prediction is right, 0 where it is not, NaN where there is no label or no prediction.

    Args:
        acts: activations, or label scores.
        labels: the right label of each query. Free-text tasks, which have no label words, need none: there an answer is
            right if its first token is the likeliest of the whole vocabulary (`acts.target_ranks` is 0).

    Raises:
        AnalysisError: for another number of labels, or where neither label words nor ranks are there.
    """
    scores = label_scores_of(acts)
    if labels is not None:
        as_classes(labels, len(scores))
    if not scores.shape[1]:
        ranks = _answered(acts, "target_ranks")
        return torch.where(ranks >= 0, (ranks == 0).float(), torch.nan)
    if labels is None:
        raise AnalysisError("got no labels; expected the right label of each query (prompts.labels).")
    predicted = predictions(acts)
    truth = as_classes(labels, len(predicted))
    return torch.where((truth >= 0) & (predicted >= 0), (predicted == truth).float(), torch.nan)


def accuracy(acts: Scores, labels: Labels | None = None) -> Float[Tensor, ""]:
    """The share of right predictions among the queries that have a label, or a free-text answer (see `correct`)."""
    return torch.nanmean(correct(acts, labels))


def label_nll(acts: Scores, labels: Labels) -> Float[Tensor, " query"]:
    """Minus the score of the right label word: mean negative log-likelihood per token of the label, in nats.

    Over the whole vocabulary, as in the loss of the updates; NaN without a label. Free text: minus `acts.target_scores`.
    """
    scores = label_scores_of(acts)
    truth = as_classes(labels, len(scores))
    if not scores.shape[1]:
        return -_answered(acts, "target_scores")
    value = -scores.gather(1, truth.clamp(min=0)[:, None])[:, 0]
    return torch.where(truth >= 0, value, torch.nan)


def _share(hit: Bool[Tensor, " query"], among: Bool[Tensor, " query"], by_query: bool) -> Float[Tensor, "*query"]:
    values = torch.where(among, hit.float(), torch.nan)
    return values if by_query else torch.nanmean(values)


def rec2ftp(zs: Scores, icl: Scores, ft: Scores, labels: Labels, *, by_query: bool = False) -> Float[Tensor, "*query"]:
    """Rec2FTP: of the queries that zero-shot gets wrong and the update mends, the share that ICL mends too.

    |ZS wrong, FT right, ICL right| / |ZS wrong, FT right|; NaN when the update mends nothing. With `by_query`, 1 or 0
    for each of those queries and NaN for the rest, whose mean is the same number.
    Source: Dai et al., arXiv 2212.10559.
    """
    z, i, f = (correct(a, labels) for a in (zs, icl, ft))
    return _share(i == 1, (z == 0) & (f == 1), by_query)


def change_agreement(zs: Scores, icl: Scores, ft: Scores, *, by_query: bool = False) -> Float[Tensor, "*query"]:
    """Of the queries whose prediction the context or the update changes, the share that both change to the same label.

    |{q: ft = icl ≠ zs}| / |{q: icl ≠ zs or ft ≠ zs}|; needs no labels; NaN when nothing changes. It counts queries, each
    once. The released code of Deutch et al. divides by |icl ≠ zs| + |ft ≠ zs| - |ft = icl ≠ zs|, the Jaccard index of
    the sets of (query, new label), and so counts a query that both changed to *different* labels twice: equal for two
    classes, smaller for more (.233 there for .318 here on four classes of icl-mini).

    Args:
        zs, icl, ft: activations of the same queries, or their label scores [query, label].
        by_query: 1 or 0 for each query that changed and NaN for the rest, whose mean is the same number.

    Source: after ChangeRecall in the released code of Deutch et al., arXiv 2311.07772.

    >>> import torch, iclmech as icl
    >>> zs, context, ft = (torch.eye(3)[rows] for rows in ([0, 0, 0], [1, 1, 0], [1, 2, 0]))
    >>> float(icl.metrics.change_agreement(zs, context, ft))  # one alike, one changed to different labels, one unchanged
    0.5
    """
    z, i, f = (predictions(a) for a in (zs, icl, ft))
    known = (z >= 0) & (i >= 0) & (f >= 0)
    return _share((f == i) & (i != z), known & ((i != z) | (f != z)), by_query)


def label_kl(a: Scores, b: Scores) -> Float[Tensor, " query"]:
    """KL(p_a ‖ p_b) of the distributions over the label words, in nats."""
    p, q = (label_scores_of(x).double().log_softmax(dim=-1) for x in (a, b))
    return _kl(p, q).float()


def label_js(a: Scores, b: Scores) -> Float[Tensor, " query"]:
    """The Jensen-Shannon divergence of the distributions over the label words, in nats (at most log 2)."""
    p, q = (label_scores_of(x).double().log_softmax(dim=-1) for x in (a, b))
    middle = torch.logaddexp(p, q) - torch.log(torch.tensor(2.0, dtype=p.dtype))
    return (0.5 * (_kl(p, middle) + _kl(q, middle))).float()


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    terms = torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q))
    return terms.sum(dim=-1).clamp(min=0) + torch.zeros_like(log_p[..., 0])


def vocabulary_accuracy(
    logits: Float[Tensor, "query vocabulary"], targets: Int[Tensor, " query"]
) -> Float[Tensor, " query"]:
    """1 where the most probable token of the *whole vocabulary* is the target (a label's first token), else 0.

    Source: Shen, Mishra, Khashabi, arXiv 2310.08540.
    """
    return (logits.argmax(dim=-1) == targets).float()


def token_overlap(
    a: Float[Tensor, "query vocabulary"], b: Float[Tensor, "query vocabulary"], k: int = 10
) -> Float[Tensor, " query"]:
    """|T_a ∩ T_b| / k, T the k most probable tokens. Source: Shen, Mishra, Khashabi, arXiv 2310.08540."""
    if not 1 <= k <= a.shape[-1]:
        raise AnalysisError(f"got k={k}; expected between 1 and the size of the vocabulary, {a.shape[-1]}.")
    top_a, top_b = a.topk(k, dim=-1).indices, b.topk(k, dim=-1).indices
    return (top_a[:, :, None] == top_b[:, None, :]).any(dim=-1).float().mean(dim=-1)


def order_sensitivity(probabilities: Float[Tensor, "permutation query token"]) -> Float[Tensor, " query"]:
    """The standard deviation of p(token | prompt) over permutations of the demonstrations, summed over tokens.

    Over the whole vocabulary or the label words, as given; the divisor is the number of permutations.
    Source: Shen, Mishra, Khashabi, arXiv 2310.08540.
    """
    if probabilities.shape[0] < 2:
        raise AnalysisError(f"got {probabilities.shape[0]} permutation; expected at least two to have a spread.")
    return probabilities.double().std(dim=0, correction=0).sum(dim=-1).to(probabilities.dtype)
