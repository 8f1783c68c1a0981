"""Nearest neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from .._errors import FunctionError
from .._prompts import FunctionPrompts


def knn(prompts: FunctionPrompts, k: int = 3) -> Float64[Tensor, "prompt prefix"]:
    """The mean value of the k nearest inputs (Euclidean), of all where fewer were seen; zero behind none.

    Source: Garg et al., arXiv 2208.01066.

    >>> import iclmech as icl
    >>> prompts = icl.functions.LinearRegression().prompts(4, 6)
    >>> bool((icl.functions.predictors.knn(prompts, k=1)[:, 1] == prompts.y[:, 0]).all())
    True
    """
    if k < 1:
        raise FunctionError(f"got k={k}; expected one neighbour or more.")
    n = prompts.n_examples
    away = torch.cdist(prompts.queries, prompts.x, compute_mode="donot_use_mm_for_euclid_dist")
    away = away.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(-1), torch.inf)  # only what stands before
    nearest = away.topk(min(k, n), dim=-1, largest=False)
    values = prompts.y[:, None].expand(-1, n, -1).gather(-1, nearest.indices)
    there = nearest.values.isfinite()
    return (values * there).sum(dim=-1) / there.sum(dim=-1).clamp(min=1)
