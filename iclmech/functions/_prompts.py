"""Prompts of functions: pairs (x, y) in a row, what is asked behind every prefix, and what the answer is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Float64
from torch import Tensor

from iclmech._base import digest, tensor_digest
from iclmech.captures import LongRows
from iclmech.models import ICLModel

from . import _altered
from ._errors import FunctionError
from ._vocabulary import long_rows

if TYPE_CHECKING:
    from ._family import Family
else:
    Family = Any


@dataclass(frozen=True, eq=False)
class FunctionPrompts:
    """Rows of pairs. Behind prefix n, that is n pairs, a point is asked: x[:, n] where no other queries are given.

    Attributes:
        x: inputs, float64.
        y: values that stand in the row, with noise.
        family: where they come from.
        truth: what was drawn for each prompt: "weights", "component", "hypothesis", …; first axis the prompts.
        seed: of the draw, or None where a generator was handed over.
        changes: what was done to them since, in words.
        own_queries: points asked behind each prefix in place of x; a learner sees them only there.
        own_targets: answers to what is asked, where they are not y.
    """

    x: Float64[Tensor, "prompt example d"]
    y: Float64[Tensor, "prompt example"]
    family: Family = field(repr=False)
    truth: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    seed: int | None = None
    changes: tuple[str, ...] = ()
    own_queries: Float64[Tensor, "prompt example d"] | None = field(default=None, repr=False)
    own_targets: Float64[Tensor, "prompt example"] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> FunctionPrompts:
        """Some of the prompts."""
        parts = {
            name: None if (t := getattr(self, name)) is None else t[rows] for name in ("own_queries", "own_targets")
        }
        truth = {name: value[rows] for name, value in self.truth.items()}
        return replace(self, x=self.x[rows], y=self.y[rows], truth=truth, **parts)

    @property
    def n_examples(self) -> int:
        """Pairs in a row, and prefixes: 0 … n_examples - 1 pairs seen."""
        return self.x.shape[1]

    @property
    def d(self) -> int:
        """Length of an input."""
        return self.x.shape[2]

    @property
    def queries(self) -> Float64[Tensor, "prompt prefix d"]:
        """The point that is asked behind each prefix."""
        return self.x if self.own_queries is None else self.own_queries

    @property
    def targets(self) -> Float64[Tensor, "prompt prefix"]:
        """The answer to each, with its noise."""
        return self.y if self.own_targets is None else self.own_targets

    @cached_property
    def clean(self) -> Float64[Tensor, "prompt prefix"]:
        """The answer to each without noise: errors against it are in excess of the noise."""
        return self.family.values(self.truth, self.queries, self.x)

    @property
    def tokens(self) -> Any:
        """Ids of what is read [prompt, position], where inputs are symbols (`Automata`)."""
        if self.family.kind != "symbols":
            raise FunctionError(
                f"got prompts of {self.family.name}, whose inputs are points; expected a family of symbols."
            )
        return self.x.argmax(dim=-1)

    @cached_property
    def hash(self) -> str:
        """Of every number in them."""
        return digest([tensor_digest(t) for t in (self.x, self.y, self.queries, self.targets)])

    @property
    def provenance(self) -> dict[str, Any]:
        """Where they come from, in plain values."""
        sizes = {"n_prompts": len(self), "n_examples": self.n_examples, "seed": self.seed}
        return {"family": self.family.about, **sizes, "changes": list(self.changes), "hash": self.hash}

    def long_rows(self, model: ICLModel) -> LongRows:
        """The prompts as a model reads them: `icl.capture(model, prompts)` asks behind every prefix in one pass."""
        return long_rows(model, self)

    # -- out of distribution, and controls ------------------------------------------------------------------------

    def scaled(self, x: float = 1.0, weights: float = 1.0) -> FunctionPrompts:
        """Inputs, or the functions' weights, times a factor; the noise stays what it was."""
        return _altered.scaled(self, x, weights)

    def asking(
        self, queries: Float64[Tensor, "prompt prefix d"], seed: int = 0, change: str = "own queries"
    ) -> FunctionPrompts:
        """Other points asked behind every prefix, answered with noise drawn anew."""
        return _altered.asking(self, queries, seed, change)

    def fresh(self, seed: int = 0) -> FunctionPrompts:
        """Points drawn anew, from the same distribution, asked behind every prefix."""
        return _altered.fresh(self, seed)

    def orthogonal(self, seed: int = 0) -> FunctionPrompts:
        """Points orthogonal to every input of the prefix, of their old length; cut to the first d prefixes, where there are any.

        Zero is then the best answer of every method that reads the function off the prefix, with weights centred at zero.
        Source: Garg et al., arXiv 2208.01066.
        """
        return _altered.orthogonal(self, seed)

    def other_quadrant(self, seed: int = 0) -> FunctionPrompts:
        """Every prompt's inputs in one quadrant, what is asked in the opposite one. Source: Garg et al., arXiv 2208.01066."""
        return _altered.other_quadrant(self, seed)

    def shuffled_y(self, seed: int = 0) -> FunctionPrompts:
        """The values of each prompt in another order, the answers as they were: what pairs say is gone, what x and y say is left."""
        return _altered.shuffled_y(self, seed)
