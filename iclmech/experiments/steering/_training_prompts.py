"""Training queries for a vector and for its layer: two disjoint halves of the training examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iclmech._base import np_rng
from iclmech.models import ICLModel
from iclmech.tasks import Example, PromptSet, Query, Task, build_prompts

from .._request import ExperimentError


@dataclass(frozen=True)
class Training:
    """Queries to make a vector of, each behind demonstrations of its own, and held-out ones to choose its layer on."""

    fit: PromptSet
    held_out: PromptSet


def own_demonstrations(train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
    """Training examples in a random order of the query's own."""
    return [int(n) for n in np_rng(seed, f"demonstrations of query {query.index}").permutation(len(train))[:k]]


def training_prompts(model: ICLModel, task: Task, k: int, seed: int, n_fit: int, n_held_out: int) -> Training:
    """No held-out query is among the queries or the demonstrations of the others; label words are those of `seed`.

    Raises:
        ExperimentError: too few training examples for one query each.
    """
    order = [int(n) for n in np_rng(seed, "training queries of a vector").permutation(len(task.train))]
    n_held_out = min(n_held_out, len(order) // 4)
    if n_held_out < 1 or n_fit < 1 or len(order) - n_held_out < 2:
        raise ExperimentError(
            f"got {len(order)} training examples of {task.name!r}, {n_fit} queries to make a vector of and {n_held_out} held out; "
            "expected at least one of each kind, and four examples."
        )
    held, rest = ([task.train[n] for n in part] for part in (order[:n_held_out], order[n_held_out:]))
    split = replace(task, train=rest, test=held)
    n_fit = min(n_fit, len(rest))
    fit = build_prompts(
        model, split, min(k, len(rest) - 1), n_fit, seed, queries_from="train", query_seed=seed,
        selection=own_demonstrations, label_words="shared",
    )  # fmt: skip
    return Training(fit, build_prompts(model, split, 0, n_held_out, seed))
