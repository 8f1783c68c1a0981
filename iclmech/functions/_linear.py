"""Families that are linear in their weights."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from ._errors import FunctionError
from ._family import Family
from ._gaussian_posterior import GaussianMixture, Posterior, gaussian_posterior
from ._prompts import FunctionPrompts


@dataclass(frozen=True)
class LinearInWeights(Family):
    """y = φ(x)·w + σε with w from a mixture of Gaussians: one engine gives the exact posterior of them all."""

    @property
    def n_features(self) -> int:
        """Length of φ(x)."""
        return self.input_size

    @property
    def feature_map(self) -> Hashable:
        """The same for two families whose features are the same."""
        plain = type(self).features is LinearInWeights.features
        return ("x", self.input_size) if plain else replace(self, **({"noise": 0.0} if hasattr(self, "noise") else {}))

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """φ of queries[:, n] behind x[:, :n]."""
        return queries

    def prior(self) -> GaussianMixture:
        """The prior over weights."""
        raise FunctionError(f"{self.name} does not say what its weights are.")

    def functions(self, n_prompts: int, generator: Generator) -> dict[str, Tensor]:
        """Weights of each prompt, and the component that they come from."""
        weights, component = self.prior().draw(n_prompts, generator)
        return {"weights": weights, "component": component}

    def values(
        self,
        truth: Mapping[str, Tensor],
        queries: Float64[Tensor, "prompt prefix d"],
        x: Float64[Tensor, "prompt example d"],
    ) -> Float64[Tensor, "prompt prefix"]:
        """φ(x)·w."""
        return torch.einsum("pnf,pf->pn", self.features(queries, x), truth["weights"])

    def posterior(self, prompts: FunctionPrompts) -> Posterior:
        """Everything that is known behind every prefix: mean, variance, evidence, components."""
        x = prompts.x
        return gaussian_posterior(
            self.features(x, x), prompts.y, self.features(prompts.queries, x), self.prior(), self.sigma
        )

    def bayes(self, prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
        """The exact posterior mean behind every prefix."""
        return self.posterior(prompts).mean


@dataclass(frozen=True)
class LinearRegression(LinearInWeights):
    """y = w·x + σε, w_i ~ N(mean_i, scale_i²). With the defaults of mean and scale, Bayes is ridge regression with λ = σ².

    Args:
        d: length of x.
        noise: σ.
        mean: of each weight; a number for all, or one for each.
        scale: standard deviation of each weight, likewise; 0 pins a weight to its mean.
        points: x is "normal", N(0, I), or "uniform" on (-1, 1).

    Source: Garg et al., arXiv 2208.01066; Akyürek et al., arXiv 2211.15661.
    """

    d: int = 5
    noise: float = 0.5
    mean: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    points: Literal["normal", "uniform"] = "normal"

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Normal or uniform inputs."""
        if self.points == "uniform":
            return torch.rand(n_prompts, n_examples, self.d, generator=generator, dtype=torch.float64) * 2 - 1
        return super().inputs(truth, n_prompts, n_examples, generator)

    def prior(self) -> GaussianMixture:
        """One Gaussian."""
        mean, scale = self._each(self.mean, "mean"), self._each(self.scale, "scale")
        return GaussianMixture(torch.zeros(1, dtype=torch.float64), mean[None], scale.square().diag()[None])

    def _each(self, value: float | tuple[float, ...], what: str) -> Float64[Tensor, " d"]:
        values = torch.as_tensor(value, dtype=torch.float64)
        if values.ndim and len(values) != self.d:
            raise FunctionError(
                f"got {len(values)} numbers as {what} for d={self.d}; expected one, or one for each of d."
            )
        return values.expand(self.d)
