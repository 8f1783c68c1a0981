"""What a stack's training left, as one labelled dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from iclmech._base import provenance

from ._measured import MEASURES, fixed_sequences, uniform_attention
from ._net_shape import Net
from ._stack_training import RunPlan, Schedule, Trained


def history_data(
    trained: Trained,
    plans: Sequence[RunPlan],
    schedule: Schedule,
    coordinates: Mapping[str, Sequence[Any]] | None = None,
) -> xr.Dataset:
    """loss, accuracy (run, step, test_set), attention (run, step, layer, head, measure), label_mass (run, step), train_loss
    (run, loss_step), chance (guess), uniform (measure); runs carry seed, stopped and further coordinates."""
    full = [row for row in trained.rows if "accuracy" in row]
    sets, world = list(full[0]["accuracy"]), plans[0].world
    by_set = {
        name: np.array([[row[name][s] for s in sets] for row in full], dtype=np.float64).transpose(2, 0, 1)
        for name in ("loss", "accuracy")
    }
    data = xr.Dataset(
        {name: (("run", "step", "test_set"), values) for name, values in by_set.items()},
        {"run": np.arange(len(plans)), "step": [row["step"] for row in full], "test_set": sets},
    )
    data.coords["seed"] = ("run", [plan.seed for plan in plans])
    for name, values in (coordinates or {}).items():
        data.coords[name] = ("run", list(values))
    data.coords["loss_step"] = [row["step"] for row in trained.rows]
    data["train_loss"] = (("run", "loss_step"), np.array([row["train_loss"] for row in trained.rows]).T)
    data["stopped"] = ("run", trained.stopped)
    data.coords["guess"] = list(world.chance)
    data["chance"] = ("guess", list(world.chance.values()))
    if "attention" in full[0]:
        values = np.array([row["attention"] for row in full]).swapaxes(0, 1)
        data["attention"] = (("run", "step", "layer", "head", "measure"), values)
        data["label_mass"] = (("run", "step"), np.array([row["label_mass"] for row in full]).T)
        probe = fixed_sequences([world], [plans[0].seed], trained.tables[:1], schedule.rows, (world.ability,))
        right = float(probe[world.ability].right.sum(-1).float().mean())
        uniform = uniform_attention(world.pairs, trained.module.shape.bos, right)
        data.coords["measure"] = list(MEASURES)
        data["uniform"] = ("measure", [uniform[m] for m in MEASURES])
    return data


def origin_of(plans: Sequence[RunPlan], net: Net, lr: float, schedule: Schedule, **more: Any) -> dict[str, Any]:
    """Where the numbers come from."""
    worlds = list(dict.fromkeys(plan.world.spelled for plan in plans))
    return provenance(
        task={"name": worlds[0] if len(worlds) == 1 else plans[0].world.name},
        worlds=worlds, net=net.spelled, lr=lr, steps=schedule.steps, batch=schedule.batch, rows=schedule.rows,
        seeds=sorted({plan.seed for plan in plans}), optimizer="AdamW, betas .9 and .98, no weight decay",
        ability=plans[0].world.ability, **more,
    )  # fmt: skip
