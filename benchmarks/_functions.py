"""Reference predictors of all prefixes together, beside the loops over prompts and prefixes that are usual."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from iclmech.functions import Automata, FunctionPrompts, LinearRegression
from iclmech.functions.predictors import knn, ngram

from ._cases import Case, same
from ._measure import Contender


def knn_loop(prompts: FunctionPrompts, k: int) -> Tensor:
    """For every prefix: distances of all prompts, then the mean of each prompt's nearest."""
    answers = [torch.zeros_like(prompts.y[:, 0])]
    for n in range(1, prompts.n_examples):
        seen, values = prompts.x[:, :n], prompts.y[:, :n]
        nearest = (seen - prompts.x[:, n : n + 1]).square().sum(dim=2).sqrt().argsort()[:, : min(n, k)]
        answers.append(torch.stack([y[rows].mean() for y, rows in zip(values, nearest, strict=True)]))
    return torch.stack(answers, dim=1)


def ngram_loop(prompts: FunctionPrompts, n: int, alpha: float = 1.0) -> Tensor:
    """For every prompt and position: count all n-grams of what stands before, then interpolate."""
    ids = prompts.d
    out = torch.zeros(len(prompts), prompts.n_examples, ids, dtype=torch.float64)
    for p, read in enumerate(prompts.tokens.tolist()):
        for last in range(len(read)):
            share = [1 / ids] * ids
            for m in range(1, n + 1):
                grams = Counter(tuple(read[i - m + 1 : i + 1]) for i in range(max(m - 1, 1), last + 1))
                context = tuple(read[last - m + 2 : last + 1])
                counts = [grams[(*context, s)] if last - m + 2 >= 0 else 0 for s in range(ids)]
                share = [(c + alpha * q) / (sum(counts) + alpha) for c, q in zip(counts, share, strict=True)]
            out[p, last] = torch.tensor(share, dtype=torch.float64)
    return out


def neighbours(quick: bool) -> Case:
    """The three nearest neighbours, behind every prefix."""
    prompts = LinearRegression(d=20, noise=0.0).prompts(8 if quick else 64, 41)
    same(knn(prompts, 3), knn_loop(prompts, 3), 1e-12, "nearest neighbours")
    contenders = [
        Contender("all prefixes together", lambda: knn(prompts, 3)),
        Contender("loop", lambda: knn_loop(prompts, 3)),
    ]
    return Case(f"3 nearest neighbours, {len(prompts)} prompts of 41 pairs, d=20", contenders, {"loop": 10.0})


def ngrams(quick: bool) -> Case:
    """Interpolated trigrams of the prompt, at every position."""
    prompts = Automata().prompts(8 if quick else 64, 80)
    same(ngram(prompts, 3), ngram_loop(prompts, 3), 1e-12, "n-grams")
    contenders = [
        Contender("all positions together", lambda: ngram(prompts, 3)),
        Contender("loop", lambda: ngram_loop(prompts, 3)),
    ]
    return Case(f"trigrams, {len(prompts)} prompts of 80 symbols", contenders, {"loop": 20.0})
