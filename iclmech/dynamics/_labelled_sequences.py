"""Sequences of labelled items and a query: what every world draws and every net of the wing reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """x₁ y₁ … x_N y_N x_q, many of them; every tensor may have a leading model axis.

    Attributes:
        items: the items, the query last: vectors, or numbers of tokens.
        labels: of the N pairs.
        target: the right label of the query.
        classes: which class each item is of, negative for classes that are not trained.
    """

    items: Float[Tensor, "*model row place width"] | Int[Tensor, "*model row place"]
    labels: Int[Tensor, "*model row pair"]
    target: Int[Tensor, "*model row"]
    classes: Int[Tensor, "*model row place"]

    @property
    def right(self) -> Bool[Tensor, "*model row pair"]:
        """Pairs whose label is the right one."""
        return self.labels == self.target[..., None]

    def __len__(self) -> int:
        return self.target.shape[-1]

    def part(self, start: int, stop: int) -> Sequences:
        """Rows start … stop of every model of a stack."""
        return Sequences(*(tensor[:, start:stop] for tensor in self._tensors()))

    def of(self, models: Sequence[int]) -> Sequences:
        """The sequences of some models of a stack."""
        index = torch.tensor(list(models))
        return Sequences(*(tensor[index] for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.items, self.labels, self.target, self.classes


def stacked(each: Sequence[Sequences]) -> Sequences:
    """Sequences of several models under one another, [model, ...]."""
    return Sequences(*(torch.stack(tensors) for tensors in zip(*(s._tensors() for s in each), strict=True)))


def label_positions(pairs: int, bos: bool) -> list[int]:
    """Where the labels stand in a sequence; the item of each stands just before it, the query last.

    >>> label_positions(2, bos=True)
    [2, 4]
    """
    return [bos + 2 * pair + 1 for pair in range(pairs)]
