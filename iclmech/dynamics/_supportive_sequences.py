"""Sequences to train on, prompts to support, and the gradients of both.

training sequence ──► ∇ loss ──┐
                               ├──► cosine, over all weights
prompts ──► ∇ mean label loss ─┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.experiments import ExperimentError
from iclmech.mini import LossWeights, MixtureConfig, training_batch, world_seed
from iclmech.tasks import PromptSet
from iclmech.training import OwnModel, TokenBatch, load_recipe, token_loss

PARTS = ("repeat", "recall", "easy", "episodes")
"""Parts of icl-mini's training mixture: repeated random words, word → symbol, episodes of few words, ordinary episodes."""
Candidates = Mapping[str, Sequence[Sequence[int]]]


class Scored(NamedTuple):
    """How the gradient of every candidate agrees with that of the prompts, and how large it is."""

    cosine: Float[np.ndarray, " candidate"]
    norm: Float[np.ndarray, " candidate"]


def mixture(n: int, length: int, seed: int) -> tuple[list[str], list[TokenBatch]]:
    """Sequences of icl-mini's training, as many of each part; each is a batch of its own, with the weights of its loss."""
    recipe, random = load_recipe("full"), world_seed(seed, "dynamics/supportive")
    names, found = [], []
    for part in PARTS:
        world = replace(recipe.world, easy=1.0 if part == "easy" else 0.0)
        shares = MixtureConfig(float(part == "repeat"), float(part == "recall"), world)
        for _ in range(max(1, n // len(PARTS))):
            ids, weights = training_batch(random, 1, length, shares, LossWeights())
            names.append(part)
            found.append(_weighted(ids[0].tolist(), weights[0].tolist()))
    return names, found


def own_candidates(candidates: Candidates) -> tuple[list[str], list[TokenBatch]]:
    """Sequences of ids by the name of their part; every token of them counts alike."""
    names = [part for part, sequences in candidates.items() for _ in sequences]
    found = [
        _weighted(list(ids), [0.0, *[1.0] * (len(ids) - 1)]) for sequences in candidates.values() for ids in sequences
    ]
    if len({len(batch.rows[0]) for batch in found}) != 1:
        raise ExperimentError("got candidates of several lengths or none; expected sequences of one number of tokens.")
    return names, found


def _weighted(ids: list[int], weights: list[float]) -> TokenBatch:
    """A row with the weights of predicting each token; tokens without weight are left out."""
    at = [n for n, weight in enumerate(weights[1:]) if weight > 0]
    targets, chosen = torch.tensor([ids[n + 1] for n in at]), torch.tensor([weights[n + 1] for n in at])
    return TokenBatch(torch.tensor([ids[:-1]]), targets, torch.tensor(at), chosen)


def joined(batches: Sequence[TokenBatch]) -> TokenBatch:
    """Batches of one row each as one batch; every sequence weighs as much as it does alone."""
    length = batches[0].rows.shape[1]
    places = [b.at + n * length for n, b in enumerate(batches) if b.at is not None]
    weights = [b.weights / b.weights.sum() for b in batches if b.weights is not None]
    return TokenBatch(
        torch.cat([b.rows for b in batches]), torch.cat([b.targets for b in batches]), torch.cat(places), torch.cat(weights)
    )  # fmt: skip


def answers(prompts: PromptSet) -> list[TokenBatch]:
    """Every prompt with its right answer, whose tokens alone count."""
    found = []
    for number, query in enumerate(prompts.queries):
        ids = prompts.sequence(number)
        answer = query.target_tokens or prompts.contexts[query.context].label_tokens[query.label or 0]
        found.append(_weighted([*ids, *answer], [0.0] * len(ids) + [1.0] * len(answer)))
    return found


def gradient(module: OwnModel, batches: Sequence[TokenBatch]) -> Float[Tensor, " weight"]:
    """Gradient of the mean loss of some batches, all weights in one row."""
    module.zero_grad(set_to_none=True)
    for batch in batches:
        (token_loss(module, batch)["loss"] / len(batches)).backward()
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
    found = torch.cat([part.flatten() for part in parts])
    module.zero_grad(set_to_none=True)
    return found


def scores(module: OwnModel, candidates: Sequence[TokenBatch], wanted: Float[Tensor, " weight"]) -> Scored:
    """Cosine of every candidate's gradient with `wanted`, and its norm; one candidate is held at a time."""
    cosine, norm = [], []
    for batch in candidates:
        mine = gradient(module, [batch])
        norm.append(float(mine.norm()))
        cosine.append(float(mine @ wanted / (mine.norm() * wanted.norm())) if norm[-1] > 0 else 0.0)
    return Scored(np.array(cosine), np.array(norm))


def matched_in_norm(chosen: Sequence[int], norm: np.ndarray, generator: np.random.Generator) -> list[int]:
    """As many others, each with the gradient norm nearest to that of one chosen, none twice; taken in random order.

    >>> matched_in_norm([0], np.array([1.0, 5.0, 1.2]), np.random.default_rng(0))
    [2]
    """
    left = [n for n in range(len(norm)) if n not in set(chosen)]
    found = []
    for one in generator.permutation(list(chosen)):
        nearest = min(left, key=lambda n: abs(norm[n] - norm[one]))
        found.append(nearest)
        left.remove(nearest)
    return found
