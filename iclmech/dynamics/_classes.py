"""`Classes`: items of many classes with fixed labels, in bursts or not (Reddy; Chan)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor

from iclmech._base import rng

from ._draws import bursts, by_frequency, cumulative, distinct, jittered, without_support
from ._labelled_sequences import Sequences
from ._net_shape import Net
from ._world import World


@dataclass(frozen=True)
class Classes(World):
    """Class k has label k mod L; a query can be answered from the weights, and in bursts from the context.

    Attributes:
        n_classes: K, classes with fixed means μ ~ N(0, 1/width) and labels.
        burst: B, how often each class of a bursty context stands in it; the query is of one of them.
        bursty: share of bursty sequences; in the others all N + 1 classes are drawn alone.
        zipf: α of the class frequencies, P_k ∝ k^−α.
        novel: share of sequences whose classes and labels are made for them alone, always in bursts.
        noise: ε within classes.
        relabel: novel classes are called by the first so many labels; 0 is all of them.

    Test sets: train; in_context (novel classes, their labels different ones); flipped (trained classes in bursts, every
    label one further, and that one right); in_weights (no item of the context has the query's label).

    Raises:
        ExperimentError: knobs that do not go together.

    Source: Reddy (arXiv 2312.03002); Chan et al. (arXiv 2205.05055): pairs=8, burst=4, relabel=2.

    >>> import iclmech as icl
    >>> icl.dynamics.Classes(novel=1.0).test_sets
    ('train', 'in_context')
    """

    name: ClassVar[str] = "classes"
    n_classes: int = 2048
    burst: int = 1
    bursty: float = 0.9
    zipf: float = 0.0
    novel: float = 0.0
    noise: float = 0.1
    relabel: int = 0
    width: int = 32

    def __post_init__(self) -> None:
        self.require(
            self.n_classes > 1 and self.pairs > 0, f"n_classes={self.n_classes}, pairs={self.pairs}", "2 and 1"
        )
        fits = self.burst > 0 and self.pairs % self.burst == 0
        self.require(fits, f"burst={self.burst} and pairs={self.pairs}", "pairs that are a multiple of the burst")
        shares = all(0 <= share <= 1 for share in (self.bursty, self.novel))
        self.require(shares, f"bursty={self.bursty} and novel={self.novel}", "shares from 0 to 1")
        self.require(0 <= self.relabel <= self.n_labels, f"relabel={self.relabel}", f"0 to {self.n_labels} labels")

    @property
    def net(self) -> Net:
        """One head, an MLP in the last block; without the MLP where there is nothing to remember."""
        return replace(Net(), mlp=0) if self.novel == 1 else Net()

    @property
    def item_width(self) -> int:
        """Width of the items."""
        return self.width

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The training mix, and what tells context from weights."""
        return ("train", "in_context") if self.novel == 1 else ("train", "in_context", "flipped", "in_weights")

    def tables(self, seed: int) -> dict[str, Tensor]:
        """Class means, and cumulative frequencies."""
        n = 1 if self.novel == 1 else self.n_classes
        means = torch.randn(n, self.width, generator=rng(seed, "dynamics/world")) * self.width**-0.5
        return {"means": means, "upto": cumulative(n, self.zipf)}

    def draw(self, tables: Mapping[str, Tensor], n: int, generator: Generator, test_set: str = "train") -> Sequences:
        """`n` sequences of a test set."""
        self.check_test_set(test_set)
        if test_set == "in_context" or (test_set == "train" and self.novel == 1):
            return self._novel(n, generator)
        if test_set == "in_weights":
            classes, possible = without_support(tables["upto"], n, self.pairs, self.n_labels, generator)
            self.require(
                bool(possible.all()), f"n_classes={self.n_classes}", "classes of other labels than the query's"
            )
            return self._trained(tables, classes, generator)
        in_bursts = torch.ones(n, 1, dtype=torch.bool)
        if test_set == "train":
            in_bursts = torch.rand(n, 1, generator=generator) < self.bursty
        packed = bursts(by_frequency(tables["upto"], (n, self.pairs // self.burst), generator), self.burst, generator)
        if not bool(in_bursts.all()):
            packed = torch.where(in_bursts, packed, by_frequency(tables["upto"], (n, self.pairs + 1), generator))
        found = self._trained(tables, packed, generator, shift=int(test_set == "flipped"))
        return self._with_novel(found, generator) if test_set == "train" and self.novel else found

    def _trained(
        self, tables: Mapping[str, Tensor], classes: Tensor, generator: Generator, shift: int = 0
    ) -> Sequences:
        labels = (classes + shift) % self.n_labels
        items = jittered(tables["means"][classes], self.noise, generator)
        return Sequences(items, labels[:, :-1], labels[:, -1], classes)

    def _novel(self, n: int, generator: Generator) -> Sequences:
        ways = self.pairs // self.burst
        means = torch.randn(n, ways, self.width, generator=generator) * self.width**-0.5
        names = distinct(n, ways, self.relabel or self.n_labels, generator)
        way = bursts(torch.arange(ways).expand(n, ways), self.burst, generator)
        items = jittered(means.gather(1, way[..., None].expand(-1, -1, self.width)), self.noise, generator)
        labels = names.gather(1, way)
        return Sequences(items, labels[:, :-1], labels[:, -1], -1 - way)

    def _with_novel(self, found: Sequences, generator: Generator) -> Sequences:
        """Some of the sequences with novel classes in place of the trained ones."""
        chosen = torch.rand(len(found), generator=generator) < self.novel
        fresh = self._novel(int(chosen.sum()), generator)
        for mine, theirs in zip(found._tensors(), fresh._tensors(), strict=True):
            mine[chosen] = theirs
        return found

    def words(self, seed: int, each: int = 40, draw: int = 0) -> tuple[Tensor, list[int]]:
        """Exemplars of as many novel classes as a context has, each with a label of its own."""
        generator, ways = rng(seed, f"dynamics/words {draw}"), self.pairs // self.burst
        means = torch.randn(ways, 1, self.width, generator=generator) * self.width**-0.5
        names = distinct(1, ways, self.relabel or self.n_labels, generator)[0].tolist()
        return jittered(means.expand(-1, each, -1), self.noise, generator), names
