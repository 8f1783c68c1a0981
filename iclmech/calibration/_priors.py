"""Priors: what a model answers when there is nothing to answer, and its predictions with that taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import PromptError, np_rng
from iclmech.analysis import AnalysisError
from iclmech.captures import Activations, Setting, capture
from iclmech.interventions import Intervention
from iclmech.models import ICLModel
from iclmech.tasks import Example, PromptSet, Query, Task, build_prompts

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs that say nothing, as in contextual calibration."""

How = Literal["dc", "cc", "bc"]
"""Estimators of a prior: domain-context, contextual, batch."""

FEWEST = 16
"""Below this many queries in a context, their mean is no prior."""


def prior(
    model: ICLModel,
    prompts: PromptSet,
    how: How = "dc",
    *,
    setting: Setting = "icl",
    texts: Sequence[str] | None = None,
    n: int = 20,
    seed: int = 0,
    interventions: Sequence[Intervention] = (),
) -> Float[Tensor, "context label"]:
    """The distribution over label words that a model gives without regard to the input, for each context.

    * "dc", domain-context: the mean label distribution over `n` inputs of random words, drawn one by one from texts of
      the task, lower-cased, as many as the mean text has (rounded down, and one), and " ." at the end; several fields
      each of its own words. The released code draws from *test* texts; here it is the demonstrations, or `texts`.
    * "cc", contextual: the mean probability of each label word (not normalised among them) over "N/A", "", "[MASK]".
    * "bc", batch: the mean label distribution over the queries of each context. It uses the queries that it will be
      applied to (transductive); `batch_prior(acts, cross_fit=True)` does not use the query's own half.

    Args:
        model: what answers; an update or interventions in force are part of it.
        prompts: contexts and template; for "bc" also the queries.
        how: the estimator.
        setting: "icl", behind the demonstrations, or "zs".
        texts: for "dc", texts of the task to draw words from, such as those of its training examples; several fields
            joined by newlines. By default the texts of the demonstrations.
        n: for "dc", how many inputs.
        seed: for "dc", draws the words, the same for all contexts.
        interventions: as in `capture`.

    Returns:
        Probabilities, each row sums to 1.

    Raises:
        PromptError: an unknown estimator, a free-text task, prompts without a template, or no texts.
        AnalysisError: "bc" with fewer than 16 queries in a context.

    Source: Zhao et al., arXiv 2102.09690 (cc); Fei et al., arXiv 2305.19148 (dc); Zhou et al., arXiv 2309.17249 (bc).

    >>> import iclmech as icl
    >>> model = icl.load_model("icl-mini")
    >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=4)
    >>> tuple(icl.calibration.prior(model, prompts).shape)
    (1, 2)
    """
    if how not in get_args(How):
        raise PromptError(f"got how={how!r}; expected one of {', '.join(get_args(How))}.")
    if not all(context.label_words for context in prompts.contexts):
        raise PromptError(f"task {prompts.task!r} has free-text answers; a prior is over label words.")
    if how == "bc":
        acts = capture(model, prompts, setting, sites=(), interventions=interventions)
        return batch_prior(acts, len(prompts.contexts))
    fields = _fields(prompts)
    if how == "cc":
        inputs = [dict.fromkeys(fields, text) for text in CONTENT_FREE]
    else:
        known = list(texts) if texts is not None else [d.text for c in prompts.contexts for d in c.demonstrations]
        inputs = random_inputs(known, fields, n, seed)
    asked = _asking(model, prompts, inputs)
    acts = capture(model, asked, setting, sites=(), interventions=interventions)
    each = (acts.label_scores.exp() if how == "cc" else acts.label_probs).double()
    mean = torch.stack(each.split(len(asked.queries) // len(prompts.contexts))).mean(dim=1)
    return (mean / mean.sum(dim=-1, keepdim=True)).float()


def batch_prior(
    acts: Activations, n_contexts: int | None = None, *, cross_fit: bool = False, logs: bool = False
) -> Float[Tensor, "row label"]:
    """The mean label distribution over the queries of each context: the prior of batch calibration.

    Args:
        acts: predictions of many queries.
        n_contexts: how many contexts there are; by default as many as the queries name.
        cross_fit: a prior for each *query*, from those of its context with the other parity, so that no query enters its
            own; [query, label].
        logs: the mean of log-probabilities, normalised, in place of the mean of probabilities (another reading).

    Raises:
        AnalysisError: fewer than 16 queries for one prior.

    Source: Zhou et al., arXiv 2309.17249.
    """
    context = _contexts(acts)
    half = torch.zeros_like(context)
    if cross_fit:
        for c in context.unique():
            half[context == c] = torch.arange(int((context == c).sum())) % 2
    count = int(context.max()) + 1 if n_contexts is None else n_contexts
    rows = [(c, h) for c in range(count) for h in ((0, 1) if cross_fit else (0,))]
    made = torch.stack([_batch_mean(acts, (context == c) & (half == h), logs) for c, h in rows])
    return made[2 * context + 1 - half] if cross_fit else made


def _batch_mean(acts: Activations, chosen: Tensor, logs: bool) -> Tensor:
    if int(chosen.sum()) < FEWEST:
        raise AnalysisError(
            f"got {int(chosen.sum())} queries for one prior; batch calibration needs {FEWEST} or more in each context "
            "(twice as many with cross_fit). Ask more queries, or take how='dc'."
        )
    scores = acts.label_scores[chosen].double()
    mean = scores.log_softmax(-1).mean(0).softmax(-1) if logs else scores.softmax(-1).mean(0)
    return mean.float()


def calibrated(acts: Activations, prior: Float[Tensor, "row label"]) -> Activations:
    """The same activations with the log prior of its context taken from every label score, and so a prior taken out of `label_probs`.

    A uniform prior moves all scores of a query alike, so neither probabilities nor predictions change. Scores are no
    log-probabilities over the vocabulary afterwards: judge them by accuracy, `metrics.ece` and `metrics.brier`.

    Args:
        acts: activations with label scores.
        prior: probabilities, one row for each context, or one for each query.

    Raises:
        AnalysisError: another number of labels, too few rows, or probabilities that are not positive.

    Source: as `prior`; a label's share of exp(score) / prior, in the notation of Fei et al., arXiv 2305.19148.
    """
    rows = torch.arange(len(acts)) if len(prior) == len(acts) else _contexts(acts)
    if prior.shape[1] != acts.label_scores.shape[1] or int(rows.max()) >= len(prior):
        raise AnalysisError(
            f"got a prior of shape {tuple(prior.shape)} for {len(acts)} queries of {int(_contexts(acts).max()) + 1} contexts "
            f"and {acts.label_scores.shape[1]} labels; expected one row for each context (or query), one column for each label."
        )
    if not (prior > 0).all():
        raise AnalysisError(f"got a prior down to {float(prior.min()):g}; expected positive probabilities.")
    shift = prior.to(acts.label_scores.dtype).log()[rows]
    scores = acts.label_scores - shift
    labels = torch.tensor([-1 if y is None else int(y) for y in acts.meta.get("labels", [None] * len(acts))])
    gold = shift.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    targets = torch.where(labels >= 0, acts.target_scores - gold, acts.target_scores)
    return replace(acts, label_scores=scores, target_scores=targets, meta={**acts.meta, "calibrated": True})


def random_inputs(texts: Sequence[str], fields: Sequence[str], n: int, seed: int) -> list[dict[str, str]]:
    """`n` inputs of random words from `texts`, each field (a line of a text, if there are several) from its own words.

    Raises:
        PromptError: no words, or n below 1.

    >>> import iclmech as icl
    >>> [made] = icl.calibration.random_inputs(["Fine film", "Fine film"], ["text"], n=1, seed=0)
    >>> made["text"].count(" "), made["text"].endswith(" .")
    (3, True)
    """
    lines = [text.split("\n") for text in texts]
    apart = len(fields) > 1 and all(len(parts) == len(fields) for parts in lines)
    generator = np_rng(seed, "domain words")
    pools: list[tuple[list[str], int]] = []
    for column in range(len(fields)):
        words = [(parts[column] if apart else "\n".join(parts)).lower().split() for parts in lines]
        pool = [word for text in words for word in text]
        if not pool or n < 1:
            raise PromptError(
                f"got {len(pool)} words for {n} random inputs; expected some words and n of 1 or more. Without demonstrations "
                "give texts=, such as those of the task's training examples, or take how='cc'."
            )
        share = 1 if apart else len(fields)
        pools.append((pool, int(np.mean([len(text) for text in words]) / share) + 1))
    return [
        {
            name: " ".join(pool[i] for i in generator.integers(len(pool), size=length)) + " ."
            for name, (pool, length) in zip(fields, pools, strict=True)
        }
        for _ in range(n)
    ]


def _contexts(acts: Activations) -> Tensor:
    named = acts.meta.get("contexts")
    return torch.zeros(len(acts), dtype=torch.long) if named is None else torch.tensor(named, dtype=torch.long)


def _fields(prompts: PromptSet) -> tuple[str, ...]:
    if "template" not in prompts.meta:
        raise PromptError("these prompts do not say what their template is; expected a set made by build_prompts.")
    return _bare_task(prompts, []).fields


def _bare_task(prompts: PromptSet, inputs: Sequence[dict[str, str]]) -> Task:
    """A task with these inputs as its test examples; their answers mean nothing."""
    examples = [Example(fields=fields, label=0) for fields in inputs]
    words = list(prompts.contexts[0].label_words)
    return Task(prompts.task, [], examples, prompts.meta["template"], words, separator=prompts.meta["separator"])


def _asking(model: ICLModel, prompts: PromptSet, inputs: Sequence[dict[str, str]]) -> PromptSet:
    """The same contexts, each asked about all inputs, context by context."""
    made = build_prompts(
        model, _bare_task(prompts, inputs), k=0, n_queries=len(inputs), max_share=1.0, n_ctx=prompts.n_ctx
    )
    queries: list[Query] = [
        replace(query, context=c, label=None, target_tokens=None)
        for c in range(len(prompts.contexts))
        for query in made.queries
    ]
    return replace(prompts, queries=queries, token_strings={**made.token_strings, **prompts.token_strings})
