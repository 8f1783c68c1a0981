"""Linear regression under other priors: sparse weights, a pool of tasks, mixtures of families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import Any

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from iclmech._base import rng

from ._errors import FunctionError
from ._gaussian_posterior import GaussianMixture
from ._linear import LinearInWeights, LinearRegression

_MOST_SUPPORTS = 5000


@dataclass(frozen=True)
class SparseRegression(LinearInWeights):
    """y = w·x + σε, `nonzero` of the d weights drawn from N(0, 1), the rest zero: Bayes enumerates the supports.

    Args:
        d: length of x.
        nonzero: weights that are not zero.
        noise: σ. At 0, σ = 1e-6 stands in when supports are weighed.

    Source: Garg et al., arXiv 2208.01066.
    """

    d: int = 8
    nonzero: int = 2
    noise: float = 0.0

    def prior(self) -> GaussianMixture:
        """One component for each support, all alike."""
        if not 0 < self.nonzero <= self.d or comb(self.d, self.nonzero) > _MOST_SUPPORTS:
            raise FunctionError(
                f"got {self.nonzero} of {self.d} weights that are not zero, {comb(self.d, self.nonzero)} supports; expected "
                f"1 to d of them and at most {_MOST_SUPPORTS} supports."
            )
        masks = torch.zeros(comb(self.d, self.nonzero), self.d, dtype=torch.float64)
        for row, support in zip(masks, combinations(range(self.d), self.nonzero), strict=True):
            row[list(support)] = 1.0
        logs = torch.full((len(masks),), 1 / len(masks), dtype=torch.float64).log()
        return GaussianMixture(logs, torch.zeros_like(masks), masks.diag_embed())


@dataclass(frozen=True)
class TaskPool(LinearInWeights):
    """`n_tasks` functions drawn once from `base`; every prompt is of one of them. Bayes is discrete: dMMSE.

    Args:
        base: what the pool is drawn from, and what fresh tasks come from: `pool.base.prompts(...)`.
        n_tasks: size of the pool.
        pool_seed: draws the pool.

    Source: Raventós et al., arXiv 2306.15063.
    """

    base: LinearInWeights = field(default_factory=LinearRegression)
    n_tasks: int = 64
    pool_seed: int = 0

    def __post_init__(self) -> None:
        """That there is a pool."""
        if self.n_tasks < 1:
            raise FunctionError(f"got n_tasks={self.n_tasks}; expected a pool of one task or more.")

    @property
    def sigma(self) -> float:
        """That of the base."""
        return self.base.sigma

    @property
    def input_size(self) -> int:
        """That of the base."""
        return self.base.input_size

    @property
    def weights(self) -> Float64[Tensor, "task feature"]:
        """The pool."""
        return self.base.prior().draw(self.n_tasks, rng(self.pool_seed, "functions: task pool"))[0]

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Those of the base."""
        return self.base.inputs(truth, n_prompts, n_examples, generator)

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """Those of the base."""
        return self.base.features(queries, x)

    def prior(self) -> GaussianMixture:
        """Point masses."""
        logs = torch.full((self.n_tasks,), 1 / self.n_tasks, dtype=torch.float64).log()
        return GaussianMixture(logs, self.weights, None)


@dataclass(frozen=True)
class Mixture(LinearInWeights):
    """Every prompt is of one of several families, drawn for each prompt anew. All must share inputs and noise.

    Families with other features stand beside each other: φ is all their features in a row, and a component has weights
    of its own family only.

    Args:
        families: what is mixed; left out, the two Gaussians of Panwar et al.: w_1 ~ ±3 exactly, the others N(0, 1), σ = ½.
        weights: probability of each; even by default.

    Source: Panwar et al., arXiv 2306.04891.
    """

    families: tuple[LinearInWeights, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Defaults, and that the families fit together."""
        if not self.families:
            scale = (0.0, 1.0, 1.0, 1.0, 1.0)
            pair = tuple(LinearRegression(5, 0.5, (sign * 3.0, 0.0, 0.0, 0.0, 0.0), scale) for sign in (1, -1))
            object.__setattr__(self, "families", pair)
        if not self.weights:
            object.__setattr__(self, "weights", tuple(1 / len(self.families) for _ in self.families))
        odd = [f for f in self.families if f.sigma != self.sigma or f.input_size != self.input_size]
        if odd or len(self.weights) != len(self.families) or abs(sum(self.weights) - 1) > 1e-9:
            raise FunctionError(
                f"got {len(self.families)} families of input sizes {[f.input_size for f in self.families]}, noise "
                f"{[f.sigma for f in self.families]} and weights {self.weights}; expected one input size, one noise, and "
                "weights that add up to 1."
            )

    @property
    def sigma(self) -> float:
        """That of the families."""
        return self.families[0].sigma

    @property
    def input_size(self) -> int:
        """That of the families."""
        return self.families[0].input_size

    def _maps(self) -> list[LinearInWeights]:
        """The first family with each feature map."""
        found: dict[Any, LinearInWeights] = {}
        for family in self.families:
            found.setdefault(family.feature_map, family)
        return list(found.values())

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Those of the first family."""
        return self.families[0].inputs(truth, n_prompts, n_examples, generator)

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """All features in a row."""
        return torch.cat([family.features(queries, x) for family in self._maps()], dim=-1)

    def prior(self) -> GaussianMixture:
        """The components of all families, each on its own features."""
        maps = [family.feature_map for family in self._maps()]
        sizes = [family.n_features for family in self._maps()]
        logs, means, covariances = [], [], []
        for family, weight in zip(self.families, self.weights, strict=True):
            inner, place = family.prior(), maps.index(family.feature_map)
            start, size, total = sum(sizes[:place]), sizes[place], sum(sizes)
            mean = torch.zeros(len(inner.means), total, dtype=torch.float64)
            mean[:, start : start + size] = inner.means
            covariance = torch.zeros(len(inner.means), total, total, dtype=torch.float64)
            if inner.covariances is not None:
                covariance[:, start : start + size, start : start + size] = inner.covariances
            logs.append(inner.log_weights + torch.tensor(weight, dtype=torch.float64).log())
            means.append(mean)
            covariances.append(covariance)
        return GaussianMixture(torch.cat(logs), torch.cat(means), torch.cat(covariances))
