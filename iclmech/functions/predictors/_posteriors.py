"""Predictors that are posteriors: under the family's own prior, under a pool, under all hypotheses that fit."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from .._boolean import Boolean
from .._errors import FunctionError
from .._family import Family
from .._priors import TaskPool
from .._prompts import FunctionPrompts


def bayes(prompts: FunctionPrompts, family: Family | None = None) -> Float64[Tensor, "prompt prefix *symbol"]:
    """The exact posterior mean.

    Args:
        prompts: rows of pairs.
        family: whose prior; the prompts' own by default. Another one is what Bayes says under a wrong prior.
    """
    return (prompts.family if family is None else family).bayes(prompts)


def dmmse(prompts: FunctionPrompts, pool: TaskPool | None = None) -> Float64[Tensor, "prompt prefix"]:
    """The posterior mean over a pool of tasks: softmax over tasks of -Σ (y_i - w·x_i)² / 2σ². Behind no pairs, the pool's mean.

    Args:
        prompts: rows of pairs.
        pool: the pool; by default that of the prompts' family.

    Raises:
        FunctionError: no pool.

    Source: Raventós et al., arXiv 2306.15063.
    """
    pool = pool if pool is not None or not isinstance(prompts.family, TaskPool) else prompts.family
    if pool is None:
        raise FunctionError(f"got prompts of {prompts.family.name} and no pool; pass pool=TaskPool(...).")
    return pool.bayes(prompts)


def consistent(prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
    """P(y = 1) over all hypotheses that agree with the pairs seen, by their prior, without what the inputs give away.

    Raises:
        FunctionError: a family without an enumeration of Boolean functions.

    Source: Bhattamishra et al., arXiv 2310.03016. No bound where inputs depend on the function: that is `bayes`.
    """
    if not isinstance(prompts.family, Boolean):
        raise FunctionError(
            f"got prompts of {prompts.family.name}; expected Conjunctions, Parities or TeachingSequences."
        )
    return prompts.family.bayes(prompts, use_inputs=False)
