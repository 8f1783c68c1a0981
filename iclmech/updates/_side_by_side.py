"""What the rows of one batch learn from at the same time: one sample for all of them, or one for each.

Rows of different lengths are filled up at the end with their first token. Nothing before it sees what stands there, and no
loss reads it, so its gradient is exactly zero.

    inputs  [row, token]      a b c d .      at  [row, counted]   2 3     counts  2
                              a b c . .                           2 .             1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech.models import ICLModel

from ._losses import CrossEntropy, PositionLoss, cross_entropy
from ._samples import Sample, losses_of


@dataclass(frozen=True)
class SideBySide:
    """One sample for every row, or one for all.

    Attributes:
        inputs: ids [row, token] or embeddings [row, token, d_model]; a single row for all of them.
        at: where the loss reads, [counted] for all rows or [row, counted].
        counts: how many of `at` count in a row [row]; None: all.
        terms: the loss, whose rows are numbered through where they differ.
    """

    inputs: Int[Tensor, "row token"] | Float[Tensor, "row token d_model"]
    at: Int[Tensor, "*row counted"]
    counts: Int[Tensor, "row"] | None
    terms: PositionLoss

    @classmethod
    def of(cls, model: ICLModel, samples: Sequence[Sample]) -> SideBySide:
        """From one sample for each row; all the same one, or `alike`."""
        first = samples[0]
        if all(sample is first for sample in samples):
            return cls(first.row(model), torch.tensor(first.positions, device=model.device), None, first.terms())
        width, counted = max(map(len, samples)), max(len(sample.positions) for sample in samples)
        rows = [list(sample.inputs) for sample in samples]
        ids = [row + row[:1] * (width - len(row)) for row in rows]
        at = [list(sample.positions) + [0] * (counted - len(sample.positions)) for sample in samples]
        targets = [list(_targets(sample)) + [0] * (counted - len(sample.positions)) for sample in samples]
        counts = [len(sample.positions) for sample in samples]
        return cls(
            torch.tensor(ids, device=model.device),
            torch.tensor(at, device=model.device),
            torch.tensor(counts, device=model.device) if len(set(counts)) > 1 else None,
            cross_entropy([target for row in targets for target in row]),
        )

    @property
    def few(self) -> bool:
        """Whether blocks are run again where the loss reads, instead of keeping the graph of all tokens."""
        return 2 * self.at.shape[-1] <= self.inputs.shape[1]

    def numbers(self, rows: int, layers: int) -> Int[Tensor, "row layer counted"]:
        """Which of the terms each readout belongs to."""
        numbers = torch.arange(self.at.numel(), device=self.at.device).view(-1, 1, self.at.shape[-1])
        return numbers.expand(rows, layers, -1)

    def losses(self, logits: Float[Tensor, "read d_vocab"], numbers: Int[Tensor, "read"]) -> Float[Tensor, "read"]:
        """The terms of some readouts."""
        return losses_of(logits, numbers, self.terms)

    def mean(self, losses: Float[Tensor, "row layer counted"]) -> Float[Tensor, "row layer"]:
        """The mean over what counts."""
        return losses.mean(-1) if self.counts is None else (losses * self._share(losses.dtype)).sum(-1)

    def shared(
        self, gradient: Float[Tensor, "row layer counted d_model"]
    ) -> Float[Tensor, "row layer counted d_model"]:
        """The gradient of the mean, from that of the terms."""
        return (
            gradient / gradient.shape[2] if self.counts is None else gradient * self._share(gradient.dtype)[..., None]
        )

    def _share(self, dtype: torch.dtype) -> Float[Tensor, "row 1 counted"]:
        """1 / count where something counts, else 0."""
        counts = cast(Tensor, self.counts)[:, None]
        read = torch.arange(self.at.shape[-1], device=counts.device) < counts
        return (read.to(dtype) / counts)[:, None]


def alike(samples: Sequence[Sample]) -> bool:
    """Whether samples can be rows of one batch: all the same one, or token ids with a cross-entropy."""
    first = samples[0]
    return all(sample is first for sample in samples) or all(
        not sample.embedded and isinstance(sample.terms(), CrossEntropy) for sample in samples
    )


def _targets(sample: Sample) -> tuple[int, ...]:
    terms = sample.terms()
    return terms.targets if isinstance(terms, CrossEntropy) else ()
