"""The one trainer: a net or a stack, batches from whoever draws them, optimisers; checks, checkpoints, resumption.

    batches ──► loss(module, batch) ──► gradients (clipped) ──► optimisers at the schedule's rate ──► next batch
                                                                      └──► check, save, at the steps asked for

What a batch is and where it comes from is the business of the world that draws it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iclmech._base import ModelError, atomic_write, track

from ._optimizers import clip_gradients

Loss = Callable[[Any, Any], Mapping[str, Tensor]]
"""(module, batch) -> "loss" and whatever else is to be followed: scalars, or [model] for a stack."""
Measured = dict[str, float | list[float]]


@dataclass
class Run:
    """The state of a training run; everything that resumption needs.

    Attributes:
        module: what is trained: a `SmallNet`, a stack, or a module that holds one (with its `models`).
        optimizers: as `build_optimizers` gives them.
        batches: an iterator; the run is over when it is. What it can do beyond that is used: ``observe(measured)`` is
            told the outcome of every step, ``state_dict`` and ``load_state_dict`` let a run resume without drawing
            the batches of the steps behind it again.
        loss: see `Loss`.
        schedule: factor on all learning rates at a step (counted from 0).
        clip: largest norm of a model's gradient; None clips nothing.
        name: what the run is; a checkpoint of another one is refused.
    """

    module: Any
    optimizers: list[torch.optim.Optimizer]
    batches: Iterator[Any]
    loss: Loss
    schedule: Callable[[int], float] = lambda step: 1.0
    clip: float | None = None
    name: str = "run"
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def warmup(steps: int) -> Callable[[int], float]:
    """A schedule: linearly up to 1 over the first steps, then constant.

    >>> [warmup(4)(step) for step in (0, 1, 3, 9)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return lambda step: min(1.0, (step + 1) / max(1, steps))


def train_step(run: Run, batch: Any) -> Measured:
    """One optimiser step on a batch; returns what the loss measured, as numbers (lists of them for a stack)."""
    factor = run.schedule(run.step)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
    found = run.loss(run.module, batch)
    found["loss"].sum().backward()
    if run.clip is not None:
        clip_gradients(run.module, run.clip, getattr(run.module, "models", None))
    for optimizer in run.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    run.step += 1
    measured: Measured = {name: value.detach().tolist() for name, value in found.items()}
    observe = getattr(run.batches, "observe", None)
    if observe is not None:
        observe(measured)
    return measured


def train(
    run: Run,
    steps: int | None = None,
    *,
    check: Callable[[Run, Measured], Mapping[str, Any]] | None = None,
    save: Callable[[Run], None] | None = None,
    at: Collection[int] | Callable[[int], bool] = (),
    save_at: Callable[[int], bool] = lambda step: False,
    progress: bool = False,
    total: int | None = None,
) -> Run:
    """Train until the batches are over, or for `steps` more steps.

    Args:
        run: goes on from where it stands.
        check: measures abilities; gets the run and what the last step measured. Its columns join ``run.history``.
        save: called after each check, with the run.
        at: at which steps both happen (step 0 is before training), or a function that says so. After the last batch
            they happen in any case, once.
        save_at: at which further steps `save` alone is called.
        progress: a bar on the error stream, where that is a terminal.
        total: how many steps the bar expects.

    Returns:
        The run.
    """
    due = at if callable(at) else at.__contains__
    measured: Measured = {}
    clock = time.process_time()
    if run.step == 0 and not run.history and due(0):
        clock = _record(run, measured, check, save, clock)
    before, allowed = run.step, run.batches if steps is None else islice(run.batches, steps)
    for batch in track(allowed, "training", total=steps if total is None else total, enabled=progress):
        measured = train_step(run, batch)
        if due(run.step):
            clock = _record(run, measured, check, save, clock)
        elif save is not None and save_at(run.step):
            run.seconds += time.process_time() - clock
            save(run)
            clock = time.process_time()
    over = steps is None or run.step - before < steps
    if over and (not run.history or run.history[-1]["step"] != run.step):
        clock = _record(run, measured, check, save, clock)
    run.seconds += time.process_time() - clock
    return run


def _record(
    run: Run,
    measured: Measured,
    check: Callable[[Run, Measured], Mapping[str, Any]] | None,
    save: Callable[[Run], None] | None,
    clock: float,
) -> float:
    """Add a row to the history, save; returns the clock after that: checks are not counted as training."""
    run.seconds += time.process_time() - clock
    row = {"step": run.step, "cpu_seconds": round(run.seconds, 1)}
    run.history.append(row | dict(check(run, measured) if check is not None else measured))
    if save is not None:
        save(run)
    return time.process_time()


def save_run(run: Run, path: str | Path) -> Path:
    """Write the whole state of a run (tensors and plain values only), so that `resume` goes on exactly where it stood."""
    drawn = getattr(run.batches, "state_dict", None)
    state = {
        "module": run.module.state_dict(), "optimizers": [o.state_dict() for o in run.optimizers],
        "batches": drawn() if drawn is not None else None, "name": run.name, "step": run.step,
        "seconds": run.seconds, "history": run.history,
    }  # fmt: skip
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        torch.save(state, temporary)
    return path


def resume(run: Run, path: str | Path) -> Run:
    """Put a run that was just built into the state that `save_run` wrote; it goes on bit for bit.

    Batches that cannot load a state are drawn again, as many as there were steps.

    Raises:
        ModelError: the file belongs to a run of another name.
    """
    device = next(iter(run.module.parameters())).device
    state = torch.load(path, map_location=device, weights_only=True)
    if state.get("name") != run.name:
        raise ModelError(
            f"{Path(path).name} holds another recipe or seed: {str(state.get('name'))[:80]}; expected {run.name[:80]}. "
            "Choose another output directory, or start afresh (resume=False)."
        )
    run.module.load_state_dict(state["module"])
    for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    run.step, run.seconds, run.history = state["step"], state["seconds"], state["history"]
    if state["batches"] is not None:
        run.batches.load_state_dict(state["batches"])  # type: ignore[attr-defined]  # it wrote the state
    else:
        for _ in islice(run.batches, run.step):
            pass
    return run
