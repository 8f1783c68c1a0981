"""`task_diversity`: learners of pools of tasks, on their own tasks and on fresh ones, beside dMMSE and ridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from iclmech._base import Claim, Result, provenance, track
from iclmech.experiments._estimates import Lead
from iclmech.models import load_model

from ._answers import predict
from ._asking import asked, judged_over_prompts, put, put_lead
from ._curves_request import TASK_DIVERSITY, DiversityRequest
from ._distance import distance
from ._errors import FunctionError
from ._family import Family
from ._priors import TaskPool
from .predictors import dmmse, ridge

TASKS = ("pool", "fresh")


class TaskDiversity(Result):
    """`data`: `distance` (learner, tasks, predictor), squared / d, of each learner's answers from those of dMMSE, the posterior
    over its pool, and of ridge, on tasks of the pool and on fresh ones; `pool` (learner), tasks it was trained on."""

    kind = "task-diversity"

    def judged(self) -> list[Claim]:
        """Does each learner remember its pool?"""
        leads = []
        for name, pool in zip(map(str, self.data["learner"].values), self.data["pool"].values, strict=True):
            text = f"{name} ({int(pool)} tasks) answers its own tasks like the posterior over them"
            leads.append(Lead(text, "remembers", {"learner": name}, "ridge, in distance"))
        return judged_over_prompts(self, leads)


def task_diversity(
    models: Sequence[str] = ("fn-pool8",),
    pools: Sequence[int] = (8,),
    family: Family | str = "LinearRegression(d=5, noise=0.5)",
    *,
    n_prompts: int = 256,
    n_examples: int = 12,
    seeds: int | Sequence[int] = 3,
    level: float = 0.95,
    progress: bool = False,
) -> TaskDiversity:
    """Whether learners remember the tasks of their pool, or learn regression.

    Args:
        models: names or directories of learners.
        pools: the size of each one's pool, drawn from `family` with pool_seed 0.
        family: what the pools are drawn from.
        n_prompts, n_examples, seeds: prompts of each seed, pairs in each, seeds.
        level: of the intervals.
        progress: show a bar on standard error.

    Source: Raventós et al., arXiv 2306.15063.
    """
    request, inputs = asked(
        DiversityRequest, ",".join(models), family, pools=tuple(pools), n_prompts=n_prompts, n_examples=n_examples,
        seeds=seeds, level=level,
    )  # fmt: skip
    return TASK_DIVERSITY.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_diversity(request: DiversityRequest, *, progress: bool, family: Any) -> TaskDiversity:
    """Run it as the request says."""
    names = request.model.split(",")
    if len(names) != len(request.pools):
        raise FunctionError(f"got {len(names)} learners and {len(request.pools)} pools; expected the pool of each.")
    kept: dict[str, list[np.ndarray]] = {"distance": [], "remembers": []}
    models = [load_model(name, device=request.device) for name in names]
    for seed in track(request.seed_list, "prompts", enabled=progress):
        rows = []
        for model, size in zip(models, request.pools, strict=True):
            pool = TaskPool(base=family, n_tasks=size)
            mine = []
            for source in (pool, family):
                prompts = source.prompts(request.n_prompts, request.n_examples, seed)
                answers, lam = predict(model, prompts), family.sigma**2
                rivals = dmmse(prompts, pool), ridge(prompts, lam)
                mine.append(torch.stack([distance(prompts, rival, answers).mean(-1) for rival in rivals], 1))
            rows.append(torch.stack(mine, 1))
        found = torch.stack(rows, 1)  # [prompt, learner, tasks, predictor]
        kept["distance"].append(found.numpy())
        kept["remembers"].append((found[:, :, 0, 1] - found[:, :, 0, 0]).numpy())
    coords = {"learner": names, "tasks": list(TASKS), "predictor": ["dmmse", "ridge"]}
    data = xr.Dataset({"pool": ("learner", list(request.pools))}, coords=coords)
    put(data, "distance", ("learner", "tasks", "predictor"), kept["distance"], request.level)
    put_lead(data, "remembers", ("learner",), kept["remembers"], request.level)
    about = provenance(models=[{"name": m.name, "hash": m.hash()} for m in models], family=family.about,
                       seeds=list(request.seed_list), pools=list(request.pools), level=request.level)  # fmt: skip
    return TaskDiversity(data, provenance=about)
