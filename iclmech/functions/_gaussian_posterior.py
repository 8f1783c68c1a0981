"""Exact Bayes for y = φ·w + σε with w from a mixture of Gaussians: every prefix in one pass, by rank-one updates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from ._prefix_sums import before

_LIMIT = 1e-6  # stands for σ = 0 where components must be weighed: the limit of densities that grow without bound


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """w ~ Σ_k exp(log_weight_k) N(mean_k, covariance_k); no covariances: point masses."""

    log_weights: Float64[Tensor, " component"]
    means: Float64[Tensor, "component feature"]
    covariances: Float64[Tensor, "component feature feature"] | None

    def draw(self, n: int, generator: Generator) -> tuple[Float64[Tensor, "prompt feature"], Int64[Tensor, " prompt"]]:
        """(weights, number of the component) of n draws."""
        if len(self.means) == 1:
            component = torch.zeros(n, dtype=torch.long)
        else:
            component = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=generator)
        weights = self.means[component]
        if self.covariances is not None:
            values, vectors = torch.linalg.eigh(self.covariances)
            roots = vectors * values.clamp(min=0).sqrt()[:, None]
            noise = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
            weights = weights + torch.einsum("pfg,pg->pf", roots[component], noise)
        return weights, component


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known behind every prefix.

    Attributes:
        mean: of what is asked, without noise.
        variance: of what is asked, without noise.
        log_evidence: log p(y_n | x_n, the n pairs before), nats; of the row's own y.
        log_component: log-probability of each component behind the prefix.
        component_mean: what each component alone would answer.
    """

    mean: Float64[Tensor, "prompt prefix"]
    variance: Float64[Tensor, "prompt prefix"]
    log_evidence: Float64[Tensor, "prompt prefix"]
    log_component: Float64[Tensor, "prompt prefix component"]
    component_mean: Float64[Tensor, "prompt prefix component"]


def gaussian_posterior(
    features: Float64[Tensor, "prompt example feature"],
    y: Float64[Tensor, "prompt example"],
    queries: Float64[Tensor, "prompt example feature"],
    prior: GaussianMixture,
    noise: float,
) -> Posterior:
    """The posterior behind every prefix.

    Each component is a Kalman filter with a constant state; its predictive densities are the likelihood of the component.
    With σ = 0 and one component the answer is exact, and the minimum-norm interpolation for an isotropic prior; with
    several, σ = 1e-6 stands for zero.

    Args:
        features: φ of the row's inputs.
        y: the row's values.
        queries: φ of what is asked behind each prefix.
        prior: over the weights.
        noise: σ.

    Source: the recursion is textbook recursive least squares; the mixture as in Panwar et al., arXiv 2306.04891.
    """
    if noise == 0.0 and len(prior.means) > 1:
        noise = _LIMIT
    if prior.covariances is None:
        asked, seen = queries @ prior.means.T, features @ prior.means.T
        spread = torch.zeros_like(asked)
        log_density = _log_normal(y[..., None] - seen, torch.full_like(seen, noise**2))
    else:
        asked, spread, log_density = _filtered(features, y, queries, prior.means, prior.covariances, noise)
    joint = prior.log_weights + before(log_density)
    log_component = joint.log_softmax(dim=-1)
    share = log_component.exp()
    mean = (share * asked).sum(dim=-1)
    variance = (share * (spread + (asked - mean[..., None]).square())).sum(dim=-1)
    evidence = (log_component + log_density).logsumexp(dim=-1)
    return Posterior(mean, variance, evidence, log_component, asked)


def _filtered(
    features: Float64[Tensor, "prompt example feature"],
    y: Float64[Tensor, "prompt example"],
    queries: Float64[Tensor, "prompt example feature"],
    means: Float64[Tensor, "component feature"],
    covariances: Float64[Tensor, "component feature feature"],
    noise: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(mean and variance of what is asked, log-density of y) [prompt, prefix, component], of each component alone."""
    p, n, _ = features.shape
    w = means.expand(p, *means.shape).clone()
    cov = covariances.expand(p, *covariances.shape).clone()
    scale = features.square().sum(dim=-1) * covariances.diagonal(dim1=-2, dim2=-1).max()
    out = [torch.empty(p, n, len(means), dtype=torch.float64) for _ in range(3)]
    for i in range(n):
        phi, ask = features[:, i, None], queries[:, i, None]  # one component axis; sums, as small products are slow
        out[0][:, i] = (w * ask).sum(dim=-1)
        out[1][:, i] = ((cov * ask[:, :, None]).sum(dim=-1) * ask).sum(dim=-1)
        gain = (cov * phi[:, :, None]).sum(dim=-1)
        total = (gain * phi).sum(dim=-1) + noise**2
        known = total <= 1e-13 * scale[:, i, None]  # only without noise: the value follows from what was seen
        total = torch.where(known, torch.ones_like(total), total)
        error = y[:, i, None] - (w * phi).sum(dim=-1)
        out[2][:, i] = torch.where(known, torch.zeros_like(error), _log_normal(error, total))
        step = torch.where(known, torch.zeros_like(total), 1 / total)[..., None] * gain
        w += step * error[..., None]
        cov -= step[..., None] * gain[..., None, :]
    return out[0], out[1], out[2]


def _log_normal(error: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * (error.square() / variance + variance.log() + math.log(2 * math.pi))
