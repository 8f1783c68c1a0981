"""`lr="auto"`: one rule for the learning rate, and the whole curve that it was chosen on.

SimAOU depends on the learning rate. The rule: per task and update, the rate with the lowest negative log-likelihood of the
labels of held-out *training* examples, on the trained model. The same rate then serves every variant, control and seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iclmech._base import UpdateError
from iclmech.analysis import metrics
from iclmech.models import ICLModel
from iclmech.tasks import Task

from ._measure import Condition, Records
from ._plan import DEFAULT_GRID, CompareError, Plan
from ._prompts import seed_prompts

_HELD_OUT = 128


@dataclass(frozen=True)
class RateCurve:
    """What each rate of the grid does on held-out training examples, [update, rate] (SimAOU: [update, rate, layer])."""

    grid: tuple[float, ...]
    label_nll: np.ndarray
    accuracy: np.ndarray
    relative_norm: np.ndarray
    sim_aou: np.ndarray
    zs_label_nll: float
    icl_label_nll: float
    n_queries: int


def choose_rates(
    model: ICLModel, task: Task, plan: Plan, records: Records, step: Callable[[str], None]
) -> tuple[dict[str, tuple[float, ...]], RateCurve]:
    """The chosen rate of every update, as a grid of one, and the curve.

    Demonstrations are those of the first seed; the held-out examples are training examples that are not among them.

    Raises:
        CompareError: every rate diverges.
    """
    n = min(plan.request.n_queries, _HELD_OUT)
    prompts = seed_prompts(model, task, plan, plan.seeds[0], records, n_queries=n, queries_from="train")
    condition = Condition(plan, records, model, prompts, "trained")
    zs, icl = (condition.run(prompts, setting, ("attn_out",)) for setting in ("zs", "icl"))
    shape = (len(plan.updates), len(DEFAULT_GRID))
    nll, accuracy, norm = (np.full(shape, np.nan) for _ in range(3))
    sim = np.full((*shape, model.shape.n_layers), np.nan)
    labels = [query.label for query in prompts.queries]
    for u, update in enumerate(plan.updates):
        for r, lr in enumerate(DEFAULT_GRID):
            step(f"{update} at {lr:g}")
            try:
                weights = plan.update(update, model, prompts, lr)
            except UpdateError:
                continue  # it diverged; larger rates will, too, but cost little
            with weights.applied(model):
                ft = condition.run(prompts, "zs", ("attn_out",))
            nll[u, r] = float(-ft.target_scores.nanmean())
            accuracy[u, r] = float(metrics.accuracy(ft, labels))
            norm[u, r] = weights.relative_norm()
            sim[u, r] = metrics.sim_aou(zs, icl, ft).nanmean(dim=0).numpy()
    curve = RateCurve(
        DEFAULT_GRID,
        nll,
        accuracy,
        norm,
        sim,
        float(-zs.target_scores.nanmean()),
        float(-icl.target_scores.nanmean()),
        len(labels),
    )
    return {update: (_best(curve, u, update, records),) for u, update in enumerate(plan.updates)}, curve


def _best(curve: RateCurve, u: int, update: str, records: Records) -> float:
    if np.isnan(curve.label_nll[u]).all():
        raise CompareError(
            f"{update} diverges at every learning rate from {curve.grid[0]:g} to {curve.grid[-1]:g}; pass lr= yourself."
        )
    best = int(np.nanargmin(curve.label_nll[u]))
    if best in (0, len(curve.grid) - 1):
        records.note(
            f"The chosen learning rate of {update}, {curve.grid[best]:g}, lies at the edge of the grid that was tried."
        )
    if curve.label_nll[u, best] >= curve.zs_label_nll:
        records.note(
            f"No learning rate of {update} makes the labels of held-out training examples likelier than they are zero-shot."
        )
    return curve.grid[best]
