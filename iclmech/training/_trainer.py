"""Training: phases, checkpoints, resumption."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F

from iclmech._base import ModelError, atomic_write, rng
from iclmech.mini import training_batch, vocabulary, world_seed

from ._network import MiniNet
from ._optimizers import build_optimizers
from ._recipe import Phase, Recipe


@dataclass
class Run:
    """The state of a training run; everything that resumption needs."""

    recipe: Recipe
    seed: int
    net: MiniNet
    optimizers: list[torch.optim.Optimizer]
    world: Random
    draws: torch.Generator
    step: int = 0
    phase: int = 0
    phase_step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    running: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether every phase is over."""
        return self.phase >= len(self.recipe.phases)


def start_run(recipe: Recipe, seed: int, device: str = "cpu") -> Run:
    """A run at step 0, drawn from ``seed``."""
    net = MiniNet(recipe.net, len(vocabulary()), rng(seed, "mini/init")).to(device)
    return Run(recipe, seed, net, build_optimizers(net, recipe), world_seed(seed, "mini/train"), rng(seed, "mini/loss"))


def _set_rates(run: Run, phase: Phase) -> None:
    share = run.phase_step / max(1, phase.steps)
    factor = phase.lr + (phase.lr_end - phase.lr) * share
    factor *= min(1.0, (run.step + 1) / max(1, run.recipe.warmup))
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def train_step(run: Run) -> dict[str, float]:
    """One optimiser step; returns the loss and the accuracy on inferable labels."""
    phase, recipe, net = run.recipe.phases[run.phase], run.recipe, run.net
    short = run.world.random() < phase.short_share
    length = min(recipe.short_length, phase.length) if short else phase.length
    rows = max(1, phase.tokens // length)
    device = net.lm_head.weight.device
    made = training_batch(run.world, rows, length, recipe.mixture(phase), recipe.loss)
    ids, weights = torch.from_numpy(made[0]), torch.from_numpy(made[1])[:, 1:].reshape(-1)
    keep = recipe.text_sample
    certain = weights > recipe.loss.text
    chosen = (certain | ((weights > 0) & (torch.rand(weights.shape, generator=run.draws) < keep))).nonzero()[:, 0]
    weights = torch.where(certain, weights, weights / keep)[chosen].to(device)
    targets = ids[:, 1:].reshape(-1)[chosen].to(device)
    _set_rates(run, phase)
    states = net(ids[:, :-1].to(device)).reshape(-1, recipe.net.d_model)[chosen.to(device)]
    logits = net.logits(states)
    loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
    for optimizer in run.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    labels = weights >= min(recipe.loss.label, recipe.loss.repeat)
    right = (logits.detach().argmax(-1) == targets)[labels].float().mean().item() if labels.any() else float("nan")
    run.step, run.phase_step, run.tokens = run.step + 1, run.phase_step + 1, run.tokens + ids.numel()
    return {"loss": loss.item(), "label_accuracy": right}


def _advance(run: Run, measured: dict[str, float]) -> None:
    for name, value in measured.items():
        if value == value:
            run.running[name] = 0.98 * run.running.get(name, value if name == "loss" else 0.0) + 0.02 * value
    phase = run.recipe.phases[run.phase]
    if run.phase_step >= phase.steps or (run.phase_step > 100 and run.running["label_accuracy"] >= phase.until):
        run.phase, run.phase_step = run.phase + 1, 0


def continue_run(
    run: Run,
    check: Callable[[Run], dict[str, Any]] | None = None,
    save: Callable[[Run], None] | None = None,
    report: Callable[[Run], None] | None = None,
    max_steps: int | None = None,
) -> Run:
    """Train until the phases are over (or ``max_steps`` more steps were made).

    ``check`` measures abilities every `Recipe.check_every` steps (`dense_every` up to step `dense_until`; and before the first and after the last one) and its
    dict joins the history; ``save`` is called after each check, ``report`` after each step.
    """
    last = run.step + max_steps if max_steps is not None else None
    clock = time.process_time()
    while not run.done and (last is None or run.step < last):
        if run.step == 0 and not run.history:
            _record(run, check, save)
            clock = time.process_time()
        _advance(run, train_step(run))
        if report is not None:
            report(run)
        dense = run.recipe.dense_every if run.step <= run.recipe.dense_until else run.recipe.check_every
        if run.step % dense == 0 or run.done:
            run.seconds += time.process_time() - clock
            _record(run, check, save)
            clock = time.process_time()
    return run


def _record(run: Run, check: Callable[[Run], dict[str, Any]] | None, save: Callable[[Run], None] | None) -> None:
    row: dict[str, Any] = {
        "step": run.step,
        "phase": run.phase,
        "tokens": run.tokens,
        "cpu_seconds": round(run.seconds, 1),
    }
    row |= {f"train_{name}": round(value, 4) for name, value in run.running.items()}
    run.history.append(row | (check(run) if check else {}))
    if save is not None:
        save(run)


def save_run(run: Run, path: Path) -> None:
    """Write the whole state of a run (tensors and numbers only), so that `resume_run` goes on exactly where it stood."""
    state = {
        "net": run.net.state_dict(), "optimizers": [o.state_dict() for o in run.optimizers],
        "draws": run.draws.get_state(), "world": list(run.world.getstate()[1]), "seed": run.seed,
        "counters": [run.step, run.phase, run.phase_step, run.tokens], "seconds": run.seconds,
        "running": run.running, "history": run.history, "recipe": repr(run.recipe),
    }  # fmt: skip
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def resume_run(path: Path, recipe: Recipe, seed: int, device: str = "cpu") -> Run:
    """The run that `save_run` wrote.

    Raises:
        ModelError: the file belongs to another recipe or seed.
    """
    state = torch.load(path, map_location=device, weights_only=True)
    if state["recipe"] != repr(recipe) or state["seed"] != seed:
        raise ModelError(
            f"{path.name} holds a run of another recipe or seed (seed {state['seed']}); expected recipe {recipe.name!r}, "
            f"seed {seed}. Choose another output directory, or pass resume=False."
        )
    run = start_run(recipe, seed, device)
    run.net.load_state_dict(state["net"])
    for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    run.draws.set_state(state["draws"].cpu())
    run.world.setstate((run.world.getstate()[0], tuple(state["world"]), None))
    run.step, run.phase, run.phase_step, run.tokens = state["counters"]
    run.seconds, run.running, run.history = state["seconds"], state["running"], state["history"]
    return run
