"""Prompts whose demonstrations teach nothing: labels permuted, anew for every query."""

from __future__ import annotations

from dataclasses import replace

from iclmech._base import PromptError
from iclmech.tasks import PromptSet


def corrupted(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same queries, each behind a context of its own: its demonstrations with their labels permuted.

    One permutation of few classes keeps or inverts most of the mapping by luck, so no two queries of a context share one as
    far as the demonstrations have so many.

    Args:
        prompts: with at least two demonstrations in every context.
        seed: draws the permutations.

    Returns:
        A prompt set with a context per query; query j is still query j.

    Raises:
        PromptError: contexts without demonstrations to permute.

    >>> import iclmech as icl
    >>> prompts = icl.build_prompts(icl.load_model("icl-mini"), icl.load_task("mini/sentiment"), k=4, n_queries=3)
    >>> len(corrupted(prompts).contexts)
    3
    """
    if min((len(c.demonstrations) for c in prompts.contexts), default=0) < 2:
        raise PromptError(
            f"got k={prompts.k}; expected two or more demonstrations in every context, to permute labels."
        )
    number, seen = [], [0] * len(prompts.contexts)
    for query in prompts.queries:  # which of its context's permutations each query gets
        number.append(seen[query.context])
        seen[query.context] += 1
    draws = prompts.with_permuted_labels(seed, max(seen))
    contexts = [draws[n].contexts[q.context] for n, q in zip(number, prompts.queries, strict=True)]
    queries = [replace(query, context=j) for j, query in enumerate(prompts.queries)]
    meta = {**prompts.meta, "control": "permuted_labels", "control_seed": seed}
    return replace(prompts, contexts=contexts, queries=queries, meta=meta)
