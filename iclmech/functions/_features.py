"""Families that are linear in fixed features of x: Fourier series, a random network, a sliding window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from iclmech._base import rng

from ._gaussian_posterior import GaussianMixture
from ._linear import LinearInWeights

_LEAK = 0.01


@dataclass(frozen=True)
class _Features(LinearInWeights):
    """w ~ N(0, I) on `n_features` features."""

    def prior(self) -> GaussianMixture:
        """One standard normal."""
        n = self.n_features
        unit = torch.eye(n, dtype=torch.float64)[None]
        return GaussianMixture(torch.zeros(1, dtype=torch.float64), torch.zeros(1, n, dtype=torch.float64), unit)


@dataclass(frozen=True)
class Fourier(_Features):
    """y = w·φ(x) + σε with φ = (1, cos πx, sin πx, …, cos πfx, sin πfx)/√(f+1) of a number x uniform on (-1, 1).

    Scaled so that y has variance 1 without noise.

    Args:
        frequencies: f.
        noise: σ.

    Source: Panwar et al., arXiv 2306.04891 (their interval is longer, their scale another).
    """

    frequencies: int = 3
    noise: float = 0.1

    @property
    def n_features(self) -> int:
        """1 + 2 f."""
        return 1 + 2 * self.frequencies

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Uniform on (-1, 1)."""
        return torch.rand(n_prompts, n_examples, 1, generator=generator, dtype=torch.float64) * 2 - 1

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """The series."""
        angle = math.pi * queries * torch.arange(1, self.frequencies + 1, dtype=torch.float64)
        parts = [torch.ones_like(queries), angle.cos(), angle.sin()]
        return torch.cat(parts, dim=-1) / math.sqrt(self.frequencies + 1)


@dataclass(frozen=True)
class Representation(_Features):
    """y = w·Φ(x) + σε with Φ a fixed random network of `depth` layers: orthogonal matrices, leaky ReLU. Bayes is ridge on Φ(x).

    Args:
        d: length of x and of Φ(x).
        depth: layers of Φ.
        noise: σ.
        network_seed: draws Φ.

    Source: Guo et al., arXiv 2310.10616.
    """

    d: int = 5
    depth: int = 2
    noise: float = 0.1
    network_seed: int = 0

    @property
    def matrices(self) -> Float64[Tensor, "layer d d"]:
        """Φ's weights."""
        generator = rng(self.network_seed, "functions: representation")
        raw = torch.randn(self.depth, self.d, self.d, generator=generator, dtype=torch.float64)
        return torch.linalg.qr(raw)[0]

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """Φ(x)."""
        out = queries
        for matrix in self.matrices:
            out = torch.nn.functional.leaky_relu(out @ matrix, _LEAK)
        return out


@dataclass(frozen=True)
class Sequential(_Features):
    """y_n = w·(x_n, x_{n-1}, …, x_{n-window+1})/√window + σε: the value depends on inputs that stand before; zeros before the first.

    Args:
        d: length of x.
        window: how many inputs count.
        noise: σ.

    Source: sliding-window function classes, arXiv 2312.12655.
    """

    d: int = 3
    window: int = 2
    noise: float = 0.1

    @property
    def n_features(self) -> int:
        """d · window."""
        return self.d * self.window

    def features(
        self, queries: Float64[Tensor, "prompt prefix d"], x: Float64[Tensor, "prompt example d"]
    ) -> Float64[Tensor, "prompt prefix feature"]:
        """The query and the inputs before it."""
        parts: list[Any] = [queries]
        for back in range(1, self.window):
            earlier = torch.zeros_like(queries)
            earlier[:, back:] = x[:, : max(x.shape[1] - back, 0)]
            parts.append(earlier)
        return torch.cat(parts, dim=-1) / math.sqrt(self.window)
