"""`Relabelled`: the labels of the classes are drawn anew in every sequence (Singh)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor

from iclmech._base import rng

from ._draws import distinct, shuffled
from ._labelled_sequences import Sequences
from ._net_shape import Net
from ._world import World


@dataclass(frozen=True)
class Relabelled(World):
    """N different classes, N different labels, and one of the classes again; only the context says which label it has.

    Attributes:
        n_classes: classes of one exemplar each, random unit vectors; as many more are held out.
        held_labels: how many sets of N labels never occur in training.

    Test sets: train; held_labels (sets of labels that training leaves out); held_classes (classes that it leaves out).

    Raises:
        ExperimentError: too few classes, labels or sets of labels.

    Source: Singh et al. (arXiv 2404.07129).
    """

    name: ClassVar[str] = "relabelled"
    lr: ClassVar[float] = 5e-4
    ability: ClassVar[str] = "train"
    pairs: int = 2
    n_labels: int = 5
    n_classes: int = 50
    held_labels: int = 2
    width: int = 64

    def __post_init__(self) -> None:
        enough = 0 < self.pairs <= min(self.n_classes, self.n_labels)
        self.require(enough, f"pairs={self.pairs}", f"1 to {min(self.n_classes, self.n_labels)} (classes, labels)")
        n = len(self._label_sets())
        self.require(0 <= self.held_labels < n, f"held_labels={self.held_labels}", f"fewer than the {n} sets of labels")

    def _label_sets(self) -> list[tuple[int, ...]]:
        return list(itertools.combinations(range(self.n_labels), self.pairs))

    @property
    def net(self) -> Net:
        """Four heads, one of them active in the last layer, no MLP."""
        return replace(Net(), heads=4, last_heads=1, mlp=0, bos=False, theta=1e4)

    @property
    def item_width(self) -> int:
        """Width of the items."""
        return self.width

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Training, held-out labels, held-out classes."""
        return ("train", "held_labels", "held_classes") if self.held_labels else ("train", "held_classes")

    def tables(self, seed: int) -> dict[str, Tensor]:
        """Class vectors, the held-out ones last; sets of labels, the held-out ones last."""
        generator = rng(seed, "dynamics/world")
        vectors = torch.randn(2 * self.n_classes, self.width, generator=generator)
        sets = torch.tensor(self._label_sets())
        order = torch.randperm(len(sets), generator=generator)
        return {"vectors": vectors / vectors.norm(dim=-1, keepdim=True), "sets": sets[order]}

    def draw(self, tables: Mapping[str, Tensor], n: int, generator: Generator, test_set: str = "train") -> Sequences:
        """`n` sequences of a test set."""
        self.check_test_set(test_set)
        classes = distinct(n, self.pairs, self.n_classes, generator)
        if test_set == "held_classes":
            classes = classes + self.n_classes
        trained, first = len(tables["sets"]) - self.held_labels, 0
        if test_set == "held_labels":
            trained, first = self.held_labels, trained
        labels = tables["sets"][first + torch.randint(trained, (n,), generator=generator)]
        labels = labels.gather(1, shuffled(n, self.pairs, generator))
        query = torch.randint(self.pairs, (n, 1), generator=generator)
        classes = torch.cat([classes, classes.gather(1, query)], 1)
        return Sequences(tables["vectors"][classes], labels, labels.gather(1, query)[:, 0], classes)

    def words(self, seed: int, each: int = 40, draw: int = 0) -> tuple[Tensor, list[int]]:
        """As many held-out classes as a context has; their one exemplar stands for all its words."""
        generator = rng(seed, f"dynamics/words {draw}")
        tables = self.tables(seed)
        chosen = self.n_classes + torch.randperm(self.n_classes, generator=generator)[: self.pairs]
        labels = distinct(1, self.pairs, self.n_labels, generator)[0].tolist()
        return tables["vectors"][chosen][:, None].expand(-1, each, -1), labels
