"""Boolean functions on x ∈ {-1, +1}^d with y ∈ {0, 1}: Bayes enumerates all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from ._errors import FunctionError
from ._family import Family
from ._hypotheses_posterior import CONTRADICTION, Hypotheses
from ._prompts import FunctionPrompts

_MOST = 20_000


@dataclass(frozen=True)
class Boolean(Family):
    """A finite class of Boolean functions, each a row of signs or a subset: `table`."""

    kind: ClassVar[Literal["real", "binary", "symbols"]] = "binary"
    d: int = 6

    def table(self) -> Float64[Tensor, "hypothesis d"]:
        """One row of numbers for each hypothesis."""
        raise FunctionError(f"{self.name} does not say what its hypotheses are.")

    def log_prior(self) -> Float64[Tensor, " hypothesis"]:
        """Even unless a subclass says otherwise."""
        n = len(self.table())
        return torch.full((n,), -math.log(n), dtype=torch.float64)

    def true_at(self, table: Float64[Tensor, "*#more d"], x: Float64[Tensor, "*#more d"]) -> Float64[Tensor, "*#more"]:
        """1.0 where the hypothesis holds at x; shapes broadcast."""
        raise FunctionError(f"{self.name} does not say when a hypothesis holds.")

    def log_input(
        self, x: Float64[Tensor, "prompt example d"], value: Float64[Tensor, "prompt example hypothesis"]
    ) -> Tensor | None:
        """log p(x_i | hypothesis), where inputs depend on it; `value` is the hypothesis at x."""
        return None

    def functions(self, n_prompts: int, generator: Generator) -> dict[str, Tensor]:
        """A row of the table for each prompt."""
        chosen = torch.multinomial(self.log_prior().exp(), n_prompts, replacement=True, generator=generator)
        return {"hypothesis": chosen, "row": self.table()[chosen]}

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Uniform."""
        return torch.randint(2, (n_prompts, n_examples, self.d), generator=generator).double() * 2 - 1

    def values(
        self,
        truth: Mapping[str, Tensor],
        queries: Float64[Tensor, "prompt prefix d"],
        x: Float64[Tensor, "prompt example d"],
    ) -> Float64[Tensor, "prompt prefix"]:
        """0 or 1."""
        return self.true_at(truth["row"][:, None], queries)

    def hypotheses(self, prompts: FunctionPrompts, use_inputs: bool = True) -> Hypotheses:
        """What every hypothesis says of these prompts.

        Args:
            prompts: rows.
            use_inputs: count p(x | hypothesis), too. Where inputs depend on the function, Bayes without it is no bound.
        """
        own = prompts.own_queries is None
        at_row = self._at(prompts.x)
        at_query = at_row if own else self._at(prompts.queries)
        agrees = at_row == prompts.y[..., None]
        log_value = torch.where(agrees, 0.0, CONTRADICTION).double()
        seen = self.log_input(prompts.x, at_row) if use_inputs else None
        asked = seen if own or seen is None else self.log_input(prompts.queries, at_query)
        return Hypotheses(self.log_prior(), log_value, at_query, seen, asked)

    def _at(self, x: Float64[Tensor, "prompt example d"]) -> Float64[Tensor, "prompt example hypothesis"]:
        """Every hypothesis at x, worked out once for each point."""
        code = (x > 0).long() @ (2 ** torch.arange(self.d))
        seen, where = code.unique(return_inverse=True)
        points = ((seen[:, None] >> torch.arange(self.d)) & 1).double() * 2 - 1
        return self.true_at(self.table(), points[:, None])[where]

    def bayes(self, prompts: FunctionPrompts, use_inputs: bool = True) -> Float64[Tensor, "prompt prefix"]:
        """P(y = 1) of what is asked, behind every prefix; see `hypotheses`."""
        return torch.cat(
            [self.hypotheses(prompts[i : i + 128], use_inputs).mean() for i in range(0, len(prompts), 128)]
        )


@dataclass(frozen=True)
class Conjunctions(Boolean):
    """y = 1 where every literal of the conjunction holds. A literal is absent with probability `absent`, else either sign.

    Args:
        d: variables; 3^d hypotheses.
        absent: probability that a variable does not occur; the empty conjunction holds everywhere.
        planted: share of inputs that are made to satisfy the conjunction. They make x itself tell of the hypothesis.

    Source: Bhattamishra et al., arXiv 2310.03016.
    """

    d: int = 6
    absent: float = 0.5
    planted: float = 0.3

    def table(self) -> Float64[Tensor, "hypothesis d"]:
        """0 absent, ±1 the sign."""
        if not self.d >= 1 or 3**self.d > _MOST:
            raise FunctionError(f"got d={self.d}, {3**self.d} conjunctions; expected at most {_MOST}.")
        return torch.tensor(list(product((0.0, 1.0, -1.0), repeat=self.d)), dtype=torch.float64)

    def log_prior(self) -> Float64[Tensor, " hypothesis"]:
        """Variable by variable."""
        n = self.table().abs().sum(dim=-1)
        present = n * math.log((1 - self.absent) / 2) if self.absent < 1 else torch.where(n > 0, -torch.inf, 0.0)
        return present + (
            (self.d - n) * math.log(self.absent) if self.absent > 0 else torch.where(n < self.d, -torch.inf, 0.0)
        )

    def true_at(self, table: Float64[Tensor, "*#more d"], x: Float64[Tensor, "*#more d"]) -> Float64[Tensor, "*#more"]:
        """Whether every literal holds."""
        return (table * x).min(dim=-1).values.ge(0).double()

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """Uniform, some made positive."""
        x = super().inputs(truth, n_prompts, n_examples, generator)
        plant = torch.rand(n_prompts, n_examples, 1, generator=generator) < self.planted
        row = truth["row"][:, None]
        return torch.where(plant & (row != 0), row, x)

    def log_input(
        self, x: Float64[Tensor, "prompt example d"], value: Float64[Tensor, "prompt example hypothesis"]
    ) -> Tensor:
        """A mixture of uniform and planted."""
        size = self.table().abs().sum(dim=-1)
        density = (1 - self.planted) + self.planted * value * 2.0**size
        return density.log().clamp(min=CONTRADICTION) - self.d * math.log(2)


@dataclass(frozen=True)
class TeachingSequences(Conjunctions):
    """Conjunctions taught: two positives that differ in every absent variable, then one negative for each literal, then as usual.

    The two positives alone give the conjunction away, so that all is known after two examples.

    Source: Bhattamishra et al., arXiv 2310.03016.
    """

    def lesson(self, table: Float64[Tensor, "hypothesis d"], n: int) -> Float64[Tensor, "hypothesis example d"]:
        """The first n inputs of each hypothesis' lesson; NaN behind its end."""
        out = torch.full((len(table), n, self.d), torch.nan, dtype=torch.float64)
        relevant = table != 0
        for i, sign in enumerate((-1.0, 1.0)[:n]):
            out[:, i] = torch.where(relevant, table, sign)
        rank = relevant.long().cumsum(dim=-1) - 1  # which of the hypothesis' literals a variable is
        for i in range(2, n):
            flipped = relevant & (rank == i - 2)
            step = torch.where(relevant, table, 1.0)
            out[:, i] = torch.where(flipped, -step, step)
            out[~flipped.any(dim=-1), i] = torch.nan
        return out

    def inputs(
        self, truth: Mapping[str, Tensor], n_prompts: int, n_examples: int, generator: Generator
    ) -> Float64[Tensor, "prompt example d"]:
        """The lesson, then as in `Conjunctions`."""
        x = super().inputs(truth, n_prompts, n_examples, generator)
        lesson = self.lesson(truth["row"], n_examples)
        return torch.where(lesson.isnan(), x, lesson)

    def log_input(
        self, x: Float64[Tensor, "prompt example d"], value: Float64[Tensor, "prompt example hypothesis"]
    ) -> Tensor:
        """Certain during the lesson."""
        lesson = self.lesson(self.table(), x.shape[1])
        powers = 2.0 ** torch.arange(self.d, dtype=torch.float64)
        told = (lesson @ powers).mT  # a point as one number; NaN where no lesson is left
        same = torch.where((x @ powers)[..., None] == told, 0.0, CONTRADICTION).double()
        return torch.where(told.isnan(), super().log_input(x, value), same)


@dataclass(frozen=True)
class Parities(Boolean):
    """y = 1 where an odd number of the subset's variables are +1. Subsets of `size` variables; 0 for all subsets but the empty one.

    Source: Bhattamishra et al., arXiv 2310.03016.
    """

    d: int = 6
    size: int = 2

    def table(self) -> Float64[Tensor, "hypothesis d"]:
        """1 where a variable counts."""
        sizes = (self.size,) if self.size else range(1, self.d + 1)
        subsets = [subset for size in sizes for subset in combinations(range(self.d), size)]
        if not subsets or len(subsets) > _MOST:
            raise FunctionError(f"got {len(subsets)} subsets of {self.d} variables; expected 1 to {_MOST}.")
        table = torch.zeros(len(subsets), self.d, dtype=torch.float64)
        for row, subset in zip(table, subsets, strict=True):
            row[list(subset)] = 1.0
        return table

    def true_at(self, table: Float64[Tensor, "*#more d"], x: Float64[Tensor, "*#more d"]) -> Float64[Tensor, "*#more"]:
        """Whether the count is odd."""
        return (table * (x > 0)).sum(dim=-1) % 2
