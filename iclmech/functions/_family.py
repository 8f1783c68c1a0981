"""What every family of functions has: a sampler, noiseless values, and the exact posterior mean behind every prefix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from iclmech._base import digest, rng

from ._errors import FunctionError
from ._prompts import FunctionPrompts


@dataclass(frozen=True)
class Family:
    """A distribution over functions and inputs. Subclasses are frozen dataclasses of plain values, or of other families.

    A subclass says how `truth`, `inputs` and `values` come about, and what `bayes` is.

    Attributes:
        kind: what y is: "real", "binary" (0 or 1; predictions are P(y = 1)), or "symbols" (ids; predictions are
            distributions, one more axis).
    """

    kind: ClassVar[Literal["real", "binary", "symbols"]] = "real"

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def input_size(self) -> int:
        """Length of an input."""
        return int(getattr(self, "d", 1))

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise."""
        return float(getattr(self, "noise", 0.0))

    @property
    def about(self) -> dict[str, Any]:
        """The family in plain values."""
        return {"family": self.name, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}

    @property
    def hash(self) -> str:
        """Of `about`."""
        return digest(self.about)

    def prompts(self, n_prompts: int = 1024, n_examples: int = 12, seed: int = 0) -> FunctionPrompts:
        """Prompts, each of a function of its own.

        Args:
            n_prompts: how many rows.
            n_examples: pairs in a row.
            seed: the same seed gives the same prompts.

        Raises:
            FunctionError: no prompts, or no examples.

        >>> import iclmech as icl
        >>> prompts = icl.functions.LinearRegression(d=5, noise=0.5).prompts(n_prompts=8, n_examples=12, seed=0)
        >>> tuple(prompts.x.shape), tuple(prompts.y.shape), tuple(prompts.family.bayes(prompts).shape)
        ((8, 12, 5), (8, 12), (8, 12))
        """
        return replace(self.draw(n_prompts, n_examples, rng(seed, f"functions: {self.name}")), seed=seed)

    def draw(self, n_prompts: int, n_examples: int, generator: Generator) -> FunctionPrompts:
        """Prompts from a generator that goes on: fresh data for every step of a training."""
        if n_prompts < 1 or n_examples < 1:
            raise FunctionError(f"got {n_prompts} prompts of {n_examples} examples; expected one or more of each.")
        truth = self.functions(n_prompts, generator)
        x = self.inputs(truth, n_prompts, n_examples, generator)
        y = self.noisy(self.values(truth, x, x), generator)
        return FunctionPrompts(x, y, self, truth)

    def noisy(
        self, clean: Float64[Tensor, "prompt example"], generator: Generator
    ) -> Float64[Tensor, "prompt example"]:
        """Values with their noise."""
        if not self.sigma:
            return clean
        return clean + self.sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)

    # -- what a subclass says -------------------------------------------------------------------------------------

    def functions(self, n_prompts: int, generator: Generator) -> dict[str, Tensor]:
        """Draw a function for each prompt: what `values` needs, first axis the prompts."""
        raise FunctionError(f"{self.name} does not say how a function is drawn.")

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Draw inputs; standard normal unless a subclass says otherwise."""
        return torch.randn(n_prompts, n_examples, self.input_size, generator=generator, dtype=torch.float64)

    def values(
        self,
        truth: Mapping[str, Tensor],
        queries: Float64[Tensor, "prompt prefix d"],
        x: Float64[Tensor, "prompt example d"],
    ) -> Float64[Tensor, "prompt prefix"]:
        """The functions at queries[:, n] behind x[:, :n], without noise."""
        raise FunctionError(f"{self.name} does not say what its functions are.")

    def bayes(self, prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix *symbol"]:
        """The exact posterior mean of what is asked, behind every prefix: no predictor has a smaller expected error."""
        raise FunctionError(f"{self.name} has no exact posterior.")


def _plain(value: Any) -> Any:
    if isinstance(value, Family):
        return value.about
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
