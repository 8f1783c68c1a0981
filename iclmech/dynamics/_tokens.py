"""`Tokens`: items are tokens with learned embeddings, which training may be made to forget (Anand)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor

from iclmech._base import rng

from ._draws import bursts, by_frequency, cumulative, distinct, without_support
from ._labelled_sequences import Sequences
from ._net_shape import Net
from ._world import World

UNSEEN = 256
"""Tokens whose embeddings are drawn once and never trained."""


@dataclass(frozen=True)
class Tokens(World):
    """Token k has label k mod L and a learned embedding; its query can be answered from both.

    Attributes:
        n_tokens: tokens, with frequencies P_k ∝ k^−zipf.
        bursty: share of sequences whose query stands in the context, too; the rest only memory can answer.
        width: of the embeddings, the net's d_model.

    Test sets: train; unseen (structural: embeddings fresh from the distribution of the first ones, the same in all
    conditions, with labels drawn for each sequence); flipped; in_weights (no token of the context has the query's label).

    Source: Anand et al. (arXiv 2406.00053), whose task is another one: here the dual process is asked of labelled items.
    """

    name: ClassVar[str] = "tokens"
    ability: ClassVar[str] = "unseen"
    n_tokens: int = 256
    bursty: float = 1.0
    zipf: float = 1.0
    width: int = 32

    def __post_init__(self) -> None:
        self.require(self.n_tokens > 1, f"n_tokens={self.n_tokens}", "at least 2")
        self.require(0 <= self.bursty <= 1, f"bursty={self.bursty}", "a share from 0 to 1")

    @property
    def net(self) -> Net:
        """One head, an MLP in the last block."""
        return replace(Net(), d_model=self.width)

    @property
    def n_items(self) -> int:
        """Rows of the learned table."""
        return self.n_tokens

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The training mix, and the three abilities."""
        return ("train", "unseen", "flipped", "in_weights")

    def tables(self, seed: int) -> dict[str, Tensor]:
        """Cumulative frequencies, and embeddings that are never trained."""
        fresh = torch.randn(UNSEEN, self.width, generator=rng(seed, "dynamics/unseen"))
        return {"upto": cumulative(self.n_tokens, self.zipf), "unseen": fresh}

    def draw(self, tables: Mapping[str, Tensor], n: int, generator: Generator, test_set: str = "train") -> Sequences:
        """`n` sequences of a test set; the items of "unseen" are vectors."""
        self.check_test_set(test_set)
        if test_set == "unseen":
            ways = distinct(n, self.pairs, UNSEEN, generator)
            names = distinct(n, self.pairs, self.n_labels, generator)
            way = bursts(torch.arange(self.pairs).expand(n, self.pairs), 1, generator)
            tokens, labels = ways.gather(1, way), names.gather(1, way)
            return Sequences(tables["unseen"][tokens], labels[:, :-1], labels[:, -1], -1 - tokens)
        if test_set == "in_weights":
            tokens, possible = without_support(tables["upto"], n, self.pairs, self.n_labels, generator)
            self.require(bool(possible.all()), f"n_tokens={self.n_tokens}", "tokens of other labels than the query's")
        else:
            tokens = bursts(by_frequency(tables["upto"], (n, self.pairs), generator), 1, generator)
            if test_set == "train" and self.bursty < 1:
                in_bursts = torch.rand(n, 1, generator=generator) < self.bursty
                tokens = torch.where(in_bursts, tokens, by_frequency(tables["upto"], (n, self.pairs + 1), generator))
        labels = (tokens + (test_set == "flipped")) % self.n_labels
        return Sequences(tokens, labels[:, :-1], labels[:, -1], tokens)

    def words(self, seed: int, each: int = 40, draw: int = 0) -> tuple[Tensor, list[int]]:
        """Embeddings that were never trained, one for each label of a context; its word stands `each` times."""
        names = distinct(1, self.pairs, self.n_labels, rng(seed, f"dynamics/words {draw}"))[0].tolist()
        return self.tables(seed)["unseen"][draw * self.pairs :][: self.pairs, None].expand(-1, each, -1), names
