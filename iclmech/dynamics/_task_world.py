"""`Tasks`: one set of classes, seen through many random projections with permuted labels (Kirsch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Generator, Tensor

from iclmech._base import rng

from ._draws import jittered, shuffled
from ._labelled_sequences import Sequences
from ._net_shape import Net
from ._world import World


@dataclass(frozen=True)
class Tasks(World):
    """Task t turns every item x into A_t x, A_t ~ N(0, 1/width), and every label y into ρ_t(y).

    Attributes:
        n_tasks: tasks of the training; 0 is a new one for every sequence.
        pairs: N; the query's class is among them.
        n_labels: classes of the base set, and labels.

    Test sets: train (tasks of the training); unseen (new tasks); memory (tasks of the training whose labels in the
    context are one further: only what was stored can be right).

    Source: Kirsch et al. (arXiv 2212.04458).
    """

    name: ClassVar[str] = "tasks"
    ability: ClassVar[str] = "unseen"
    pairs: int = 6
    n_labels: int = 4
    n_tasks: int = 256
    noise: float = 0.1
    width: int = 16

    def __post_init__(self) -> None:
        self.require(
            self.n_tasks >= 0 and self.n_labels > 1, f"n_tasks={self.n_tasks}, n_labels={self.n_labels}", "0, 2"
        )

    @property
    def net(self) -> Net:
        """One head, an MLP in the last block (gated: 80 wide it has as many weights as a plain one of 120), no BOS."""
        return replace(Net(), mlp=80, bos=False)

    @property
    def item_width(self) -> int:
        """Width of the items."""
        return self.width

    @property
    def test_sets(self) -> tuple[str, ...]:
        """Seen tasks, unseen tasks, and memory where there is something to remember."""
        return ("train", "unseen", "memory")

    @property
    def chance(self) -> dict[str, float]:
        """What guessing gives."""
        return {"a label": 1 / self.n_labels}

    def tables(self, seed: int) -> dict[str, Tensor]:
        """The base set, the projections and the permutations."""
        generator = rng(seed, "dynamics/world")
        base = torch.randn(self.n_labels, self.width, generator=generator)
        maps, names = self._fresh(self.n_tasks, generator)
        return {"base": base / base.norm(dim=-1, keepdim=True), "maps": maps, "names": names}

    def _fresh(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        maps = torch.randn(n, self.width, self.width, generator=generator) * self.width**-0.5
        return maps, shuffled(n, self.n_labels, generator)

    def draw(self, tables: Mapping[str, Tensor], n: int, generator: Generator, test_set: str = "train") -> Sequences:
        """`n` sequences of a test set."""
        self.check_test_set(test_set)
        if test_set == "unseen" or not self.n_tasks:
            maps, names = self._fresh(n, generator)
        else:
            task = torch.randint(self.n_tasks, (n,), generator=generator)
            maps, names = tables["maps"][task], tables["names"][task]
        classes = torch.randint(self.n_labels, (n, self.pairs), generator=generator)
        query = classes.gather(1, torch.randint(self.pairs, (n, 1), generator=generator))
        classes = torch.cat([classes, query], 1)
        plain = jittered(tables["base"][classes], self.noise, generator)
        labels = names.gather(1, classes)
        context = (labels[:, :-1] + (test_set == "memory")) % self.n_labels
        return Sequences(plain @ maps.transpose(1, 2), context, labels[:, -1], classes)

    def words(self, seed: int, each: int = 40, draw: int = 0) -> tuple[Tensor, list[int]]:
        """Exemplars of every class in a task that was not trained."""
        generator = rng(seed, f"dynamics/words {draw}")
        maps, names = self._fresh(1, generator)
        base = self.tables(seed)["base"][:, None].expand(-1, each, -1)
        return jittered(base, self.noise, generator) @ maps[0].T, names[0].tolist()
