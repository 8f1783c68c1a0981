"""icl-mini's training: its recipe's phases as a source of batches for the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch

from iclmech._base import rng
from iclmech.mini import training_batch, vocabulary, world_seed

from ._network import SmallNet
from ._optimizers import build_optimizers
from ._recipe import Phase, Recipe
from ._token_loss import TokenBatch, token_loss
from ._trainer import Measured, Run, resume, train


@dataclass
class Curriculum:
    """Draws the batches of a recipe, phase after phase; `observe` tells it how well labels are predicted."""

    recipe: Recipe
    world: Random
    draws: torch.Generator
    device: str = "cpu"
    step: int = 0
    phase: int = 0
    phase_step: int = 0
    tokens: int = 0
    running: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether every phase is over."""
        return self.phase >= len(self.recipe.phases)

    def __iter__(self) -> Curriculum:
        return self

    def __next__(self) -> TokenBatch:
        if self.done:
            raise StopIteration
        phase, recipe = self.recipe.phases[self.phase], self.recipe
        short = self.world.random() < phase.short_share
        length = min(recipe.short_length, phase.length) if short else phase.length
        rows = max(1, phase.tokens // length)
        made = training_batch(self.world, rows, length, recipe.mixture(phase), recipe.loss)
        ids, weights = torch.from_numpy(made[0]), torch.from_numpy(made[1])[:, 1:].reshape(-1)
        self.tokens += ids.numel()
        keep = recipe.text_sample
        certain = weights > recipe.loss.text
        chosen = (certain | ((weights > 0) & (torch.rand(weights.shape, generator=self.draws) < keep))).nonzero()[:, 0]
        weights = torch.where(certain, weights, weights / keep)[chosen]
        scored = weights >= min(recipe.loss.label, recipe.loss.repeat)
        parts = (ids[:, :-1], ids[:, 1:].reshape(-1)[chosen], chosen, weights, scored)
        return TokenBatch(*(part.to(self.device) for part in parts))

    def rate(self, step: int) -> float:
        """The factor on the learning rates at this step."""
        phase: Phase = self.recipe.phases[self.phase]
        factor = phase.lr + (phase.lr_end - phase.lr) * (self.phase_step / max(1, phase.steps))
        return factor * min(1.0, (step + 1) / max(1, self.recipe.warmup))

    def observe(self, measured: Measured) -> None:
        """Follow loss and accuracy on inferable labels; go on to the next phase when this one is over."""
        self.step, self.phase_step = self.step + 1, self.phase_step + 1
        for name, key, start in (("loss", "loss", None), ("label_accuracy", "accuracy", 0.0)):
            value = measured[key]
            if value == value and isinstance(value, float):
                before = self.running.get(name, value if start is None else start)
                self.running[name] = 0.98 * before + 0.02 * value
        phase = self.recipe.phases[self.phase]
        reached = self.phase_step > 100 and self.running["label_accuracy"] >= phase.until
        if self.phase_step >= phase.steps or reached:
            self.phase, self.phase_step = self.phase + 1, 0

    def columns(self) -> dict[str, Any]:
        """Where the curriculum stands, for the history."""
        row: dict[str, Any] = {"phase": self.phase, "tokens": self.tokens}
        return row | {f"train_{name}": round(value, 4) for name, value in self.running.items()}

    def due(self, step: int) -> bool:
        """Whether abilities are measured at this step."""
        every = self.recipe.dense_every if step <= self.recipe.dense_until else self.recipe.check_every
        return step % every == 0 or self.done

    def state_dict(self) -> dict[str, Any]:
        """Everything that resumption needs."""
        return {
            "draws": self.draws.get_state(), "world": list(self.world.getstate()[1]), "running": self.running,
            "counters": [self.step, self.phase, self.phase_step, self.tokens],
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.draws.set_state(state["draws"].cpu())
        self.world.setstate((self.world.getstate()[0], tuple(state["world"]), None))
        self.step, self.phase, self.phase_step, self.tokens = state["counters"]
        self.running = state["running"]


def start_run(recipe: Recipe, seed: int, device: str = "cpu") -> Run:
    """A run of icl-mini's kind at step 0, drawn from ``seed``."""
    net = SmallNet(recipe.net, len(vocabulary()), rng(seed, "mini/init")).to(device)
    kind = "muon" if recipe.lr_muon > 0 else "adamw"
    betas, decay = (recipe.beta1, recipe.beta2), recipe.weight_decay
    optimizers = build_optimizers(
        net, kind, lr=recipe.lr_adam, lr_muon=recipe.lr_muon, momentum=recipe.momentum, betas=betas, weight_decay=decay
    )
    batches = Curriculum(recipe, world_seed(seed, "mini/train"), rng(seed, "mini/loss"), device)
    return Run(
        net, optimizers, batches, token_loss, batches.rate, recipe.clip, f"{recipe.name}, seed {seed}: {recipe!r}"
    )


def resume_run(path: Path, recipe: Recipe, seed: int, device: str = "cpu") -> Run:
    """The run of icl-mini's kind that `save_run` wrote.

    Raises:
        ModelError: the file belongs to another recipe or seed.
    """
    return resume(start_run(recipe, seed, device), path)


def continue_run(
    run: Run,
    check: Callable[[Run], Mapping[str, Any]] | None = None,
    save: Callable[[Run], None] | None = None,
    progress: bool = False,
    max_steps: int | None = None,
) -> Run:
    """Train until the phases are over (or ``max_steps`` more steps were made).

    ``check`` measures abilities every `Recipe.check_every` steps (`dense_every` up to step `dense_until`; and before the
    first and after the last one) and its dict joins the history; ``save`` is called after each check.
    """
    curriculum: Curriculum = run.batches  # type: ignore[assignment]  # of `start_run`

    def row(run: Run, measured: Measured) -> dict[str, Any]:
        return curriculum.columns() | dict(check(run) if check is not None else {})

    left = curriculum.recipe.steps - run.step
    return train(run, max_steps, check=row, save=save, at=curriculum.due, progress=progress, total=left)
