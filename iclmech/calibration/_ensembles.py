"""Self-ensembles: one model behind several contexts, or under several templates, its label distributions joined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.analysis import AnalysisError
from iclmech.captures import Activations

Join = Literal["mean", "log_mean", "vote", "max"]
ENSEMBLES: tuple[str, ...] = get_args(Join)
"""How label distributions are joined."""

_TIE = 1e-6
"""Weight of the mean beside votes: it decides between labels with as many."""


def ensemble(members: Sequence[Activations], how: str = "mean") -> Activations:
    """One prediction for each query out of several; `label_scores` are logarithms of the joined distribution over labels.

    With p the label probabilities of a member: "mean" Σ p / m; "log_mean" ∝ exp(Σ log p / m); "vote" the share of members whose
    likeliest label it is (ties by the mean); "max" ∝ the largest p of any member. Control: one context with all the demonstrations of
    the members together, which costs as many tokens once.

    Args:
        members: of the same queries with the same label words, behind different demonstrations or under different templates.
        how: one of these.

    Returns:
        The first member with other label scores, and without states and scores of right answers.

    Raises:
        AnalysisError: no members, an unknown `how`, or members of different queries.

    Source: Li et al., arXiv 2312.13772, whose "mean" and "max" act on probabilities.

    >>> import torch, iclmech as icl
    >>> scores = [torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.4, 0.6]]).log(), torch.tensor([[0.4, 0.6]]).log()]
    >>> members = [icl.Activations({}, {}, s, torch.zeros(1), "icl", ()) for s in scores]
    >>> [ensemble(members, how).predictions.item() for how in ENSEMBLES]
    [0, 0, 1, 0]
    """
    if not members or how not in ENSEMBLES:
        raise AnalysisError(
            f"got {len(members)} members and how={how!r}; expected one or more, and one of {', '.join(ENSEMBLES)}."
        )
    shapes = {tuple(m.label_scores.shape) for m in members}
    golds = {str(m.meta.get("labels")) for m in members}
    if len(shapes) > 1 or len(golds) > 1:
        raise AnalysisError(
            f"got members of shapes {sorted(shapes)}{' with different labels' if len(golds) > 1 else ''}; expected the same queries "
            "and label words in each. Build the prompts with the same query_seed."
        )
    probabilities = torch.stack([m.label_probs.double() for m in members])
    scores = _joined(probabilities, how).to(members[0].label_scores.dtype)
    meta = {**members[0].meta, "ensemble": how, "members": len(members)}
    return replace(members[0], data={}, dims={}, label_scores=scores, target_scores=torch.full_like(scores[:, 0], torch.nan), target_ranks=None, meta=meta)  # fmt: skip


def _joined(p: Float[Tensor, "member query label"], how: str) -> Float[Tensor, "query label"]:
    """Logarithms of the joined distribution, up to a constant for each query."""
    if how == "log_mean":
        return p.log().mean(dim=0).log_softmax(dim=-1)
    if how == "max":
        joined = p.max(dim=0).values
    elif how == "vote":
        votes = torch.nn.functional.one_hot(p.argmax(dim=-1), p.shape[-1]).double().mean(dim=0)
        joined = votes + _TIE * p.mean(dim=0)
    else:
        joined = p.mean(dim=0)
    return (joined / joined.sum(dim=-1, keepdim=True)).log()


def template_variants(template: str, n: int = 4) -> list[str]:
    """Up to `n` ways to write a template with the same fields and words, itself first.

    It in one line; without the words before the first field; its last words only; the fields alone.

    >>> template_variants("Review: {text}\\nSentiment:")
    ['Review: {text}\\nSentiment:', 'Review: {text} Sentiment:', '{text}\\nSentiment:', '{text}']
    """
    first = re.sub(r"^[^{]*", "", template, count=1)
    bare = re.sub(r"\}[^{}]*\{", "}\n{", first)
    made = [template, template.replace("\n", " "), first, re.sub(r"[^}]*$", "", bare), first.replace("\n", " ")]
    return list(dict.fromkeys(text for text in made if text))[:n]
