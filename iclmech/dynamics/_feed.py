"""Batches for a stack: every run draws from its own generator, a block of steps at a time; and forgetting on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from iclmech._base import rng
from iclmech.experiments import ExperimentError

from ._labelled_sequences import Sequences, stacked
from ._spelled import read_call, spell_call
from ._world import World
from ._world_net import WorldNet

BLOCK = 16
"""Steps whose batches are drawn at once: what costs is the number of draws, not their size."""


@dataclass(frozen=True)
class Forget:
    """The table of items drawn anew every `every` steps, its moments in the optimiser set to zero.

    Attributes:
        until: None, for good; a step; or (test set, accuracy): the second evaluation in a row at which it is reached. One
            alone may be luck, and an ability that has only just come is lost again.

    Source: active and temporary forgetting, Anand et al. (arXiv 2406.00053); redrawn at the scale of the first draw.

    >>> Forget(25, until=("unseen", 0.9)).spelled
    "forget(every=25, until=('unseen', 0.9))"
    """

    every: int = 25
    until: int | tuple[str, float] | None = None

    @property
    def spelled(self) -> str:
        """Forgetting as text; `forget_of` reads it."""
        return spell_call("forget", {"every": self.every, "until": self.until}, Forget(0))


def forget_of(text: str | Forget | None) -> Forget | None:
    """Forgetting from its text; "none" is None.

    >>> forget_of("forget(every=100)"), forget_of("none")
    (Forget(every=100, until=None), None)
    """
    if text is None or isinstance(text, Forget):
        return text
    name, settings = read_call(text)
    if name == "none" and not settings:
        return None
    if name != "forget" or not set(settings) <= {"every", "until"}:
        raise ExperimentError(f"got {text!r}; expected none, or forget(every=25, until=('unseen', 0.9)).")
    return Forget(**settings)


@dataclass
class Feed:
    """Draws the batches of a stack; the run is over after `total` steps.

    Attributes:
        worlds, seeds, tables, forget: of each run.
        stopped: the step at which each run's forgetting ended; -1 where it has not.
    """

    worlds: Sequence[World]
    seeds: Sequence[int]
    tables: Sequence[Mapping[str, Tensor]]
    batch: int
    total: int
    forget: Sequence[Forget | None] = ()
    module: WorldNet | None = None
    optimizers: Sequence[torch.optim.Optimizer] = ()
    step: int = 0
    stopped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draws = [rng(seed, "dynamics/train") for seed in self.seeds]
        self._fresh = [rng(seed, "dynamics/forget") for seed in self.seeds]
        self.stopped = [-1] * len(self.seeds)
        self._reached = [False] * len(self.seeds)
        self._begun: list[Tensor] = []
        self._block: Sequences | None = None

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Sequences:
        if self.step >= self.total:
            raise StopIteration
        at = self.step % BLOCK
        if at == 0 or self._block is None:
            self._block = self._drawn()
        self._redraw()
        self.step += 1
        return self._block.part(at * self.batch, (at + 1) * self.batch)

    def _drawn(self) -> Sequences:
        self._begun = [g.get_state() for g in self._draws]
        n = BLOCK * self.batch
        each = zip(self.worlds, self.tables, self._draws, strict=True)
        return stacked([world.draw(tables, n, generator) for world, tables, generator in each])

    @torch.no_grad()
    def _redraw(self) -> None:
        """Forget what is due before this step."""
        for run, forget in enumerate(self.forget):
            if forget is None or not self.step or self.step % forget.every or self.stopped[run] >= 0:
                continue
            if isinstance(forget.until, int) and self.step >= forget.until:
                self.stopped[run] = self.step
                continue
            table = self.module.table if self.module is not None else None
            if table is None:
                raise ExperimentError("got forgetting in a world without a learned table; expected Tokens.")
            table[run].normal_(generator=self._fresh[run])
            for optimizer in self.optimizers:
                for name in ("exp_avg", "exp_avg_sq"):
                    if name in optimizer.state.get(table, {}):
                        optimizer.state[table][name][run].zero_()

    def judge(self, step: int, accuracy: Mapping[str, Sequence[float]]) -> None:
        """Told what was measured: forgetting ends where its condition has come true."""
        for run, forget in enumerate(self.forget):
            if forget is not None and isinstance(forget.until, tuple) and self.stopped[run] < 0:
                test_set, level = forget.until
                before, self._reached[run] = self._reached[run], accuracy[test_set][run] >= level
                if before and self._reached[run]:
                    self.stopped[run] = step

    def state_dict(self) -> dict[str, Any]:
        """Everything that resumption needs."""
        return {
            "begun": self._begun, "fresh": [g.get_state() for g in self._fresh], "step": self.step,
            "stopped": self.stopped, "reached": self._reached,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.step, self.stopped = state["step"], list(state["stopped"])
        self._reached = list(state["reached"])
        for generator, saved in zip(self._fresh, state["fresh"], strict=True):
            generator.set_state(saved)
        if self.step:
            for generator, saved in zip(self._draws, state["begun"], strict=True):
                generator.set_state(saved)
            self._block = self._drawn()
