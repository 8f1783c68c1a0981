"""Many small nets in one stack against a loop over the same nets, one training step each; the same weights to the bit."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import torch

from iclmech.dynamics import Classes
from iclmech.dynamics._stack_training import RunPlan, Schedule, train_stack
from iclmech.training import NetConfig, Run, SmallNet, TokenBatch, build_optimizers, stack, token_loss, train_step

from ._cases import Case
from ._measure import Contender

CONFIG = NetConfig(n_layers=2, d_model=32, n_heads=1, d_mlp=(0, 128), n_ctx=32, rope_theta=10.0, init_std=None)
LABELS = 16
STEPS = 3


def run_of(net: SmallNet) -> Run:
    """A run with AdamW, as the dynamics of learning are studied with."""
    return Run(net, build_optimizers(net, "adamw", lr=2e-3), repeat(None), token_loss)


def steps(models: int, rows: int, length: int, target: float | None) -> Case:
    """One step of every model on data of its own: embeddings in, the label of the last position out."""
    make = torch.Generator().manual_seed(0)
    alone = [SmallNet(CONFIG, LABELS, torch.Generator().manual_seed(seed)) for seed in range(models)]
    together, apart = run_of(stack(alone)), [run_of(net) for net in alone]
    items = torch.randn(models, rows, length, CONFIG.d_model, generator=make)
    batch = TokenBatch(items, torch.randint(0, LABELS, (models, rows), generator=make))
    batches = [TokenBatch(batch.rows[n], batch.targets[n]) for n in range(models)]

    def in_a_stack() -> None:
        train_step(together, batch)

    def one_by_one() -> None:
        for run, mine in zip(apart, batches, strict=True):
            train_step(run, mine)

    for _ in range(STEPS):
        in_a_stack()
        one_by_one()
    require_equal(together.module, alone)
    title = f"training step, {models} nets of d {CONFIG.d_model}, {rows} rows of {length}, per net"
    contenders = [Contender("one stack", in_a_stack, models), Contender("one net after the other", one_by_one, models)]
    return Case(title, contenders, {"one net after the other": target})


def require_equal(whole: SmallNet, alone: list[SmallNet]) -> None:
    """Raise unless every net of the stack is, to the bit, the net that was trained alone."""
    for number, net in enumerate(alone):
        for (name, mine), theirs in zip(net.named_parameters(), whole.parameters(), strict=True):
            if not torch.equal(mine, theirs[number]):
                gap = float((mine - theirs[number]).abs().max())
                raise AssertionError(f"net {number} of the stack differs from the net alone in {name} by {gap:.1e}")


def diagram(classes: tuple[int, ...], length: int) -> Case:
    """A phase diagram, data and a measurement at the end included: all cells in one stack, or one run after the other."""
    worlds = [Classes(n_classes=k, bursty=p, zipf=z) for k in classes for p in (0.5, 0.9, 1.0) for z in (0.0, 1.0)]
    plans, world = [RunPlan(world, 0) for world in worlds], worlds[0]
    schedule = Schedule(length, evaluate=0, rows=32, keep=False, attention=False)

    def in_a_stack() -> list[dict[str, Any]]:
        return [train_stack(plans, world.net, world.lr, schedule).rows[-1]]

    def one_by_one() -> list[dict[str, Any]]:
        return [train_stack([plan], world.net, world.lr, schedule).rows[-1] for plan in plans]

    together, apart = in_a_stack()[0], one_by_one()
    for number, row in enumerate(apart):
        for name, mine in row["loss"].items():
            if mine[0] != together["loss"][name][number]:
                raise AssertionError(f"cell {number} of the stack differs from the run alone in its loss on {name}")
    contenders = [
        Contender("one stack", in_a_stack, len(plans)),
        Contender("one run after the other", one_by_one, len(plans)),
    ]
    title = f"phase diagram of {len(plans)} cells, {length} steps, per cell"
    return Case(title, contenders, {"one run after the other": None})


def all_of_them(quick: bool) -> list[Case]:
    """Short rows in small batches, as the dynamics of learning are studied with, and larger ones; and a whole diagram."""
    if quick:
        return [steps(4, 32, 10, None), diagram((128,), 4)]
    aims = ((16, 32, 10, 2.8), (64, 32, 10, 3.3), (16, 32, 18, None), (16, 128, 18, None))
    return [*(steps(*aim) for aim in aims), diagram((128, 512, 2048, 8192), 64)]
