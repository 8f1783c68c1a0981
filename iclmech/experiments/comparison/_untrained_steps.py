"""The trained model beside untrained ones where both have been moved equally far.

At one learning rate an untrained model may move twenty times as far as a trained one. So its rates are walked anew, from far
below the chosen one, and the two similarities are read at the smaller of the two displacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iclmech.models import ICLModel
from iclmech.tasks import Task

from ._equal_displacement import VALID, RateCells, equal_displacement, in_words
from ._held_out import Draw, draws_of, evidence, seeds_of_draws, walk
from ._plan import Plan
from ._rate_rule import HeldOut, refusal
from ._rates import rate_at
from ._records import Records
from .controls._untrained import untrained

BELOW = 6
"""Thirds of a decade below the chosen rate at which a walk begins: a hundredth of it."""


@dataclass
class _Walk:
    """One update on the untrained models: rates in thirds of decades, whether no draw refuses them, and cells by draw."""

    exponents: list[int]
    sane: np.ndarray
    displacement: list[np.ndarray] = field(default_factory=list)  # [example, rate, layer] of each draw
    sim_aou: list[np.ndarray] = field(default_factory=list)


def beside_untrained(
    model: ICLModel,
    task: Task,
    plan: Plan,
    trained: Mapping[str, tuple[RateCells, int]],
    records: Records,
    step: Callable[[str], None],
) -> dict[str, tuple[tuple[str, ...], Any]]:
    """SimAOU of the trained model minus that of untrained ones, at equal displacement.

    Args:
        trained: by update, its cells on the draws, and the chosen rate in thirds of decades.

    Returns:
        The variables of `equal_displacement`, called "untrained_…", by update.
    """
    walks: dict[str, _Walk] = {}
    for number, seed in enumerate(seeds_of_draws(plan)):
        step("untrained model")
        subject = untrained(model, plan.request, seed)
        (draw,) = draws_of(subject, task, plan, records, step, [seed])
        zero = evidence([draw], [draw.zs], [draw.text_nll], displacement=0.0)
        for update, (cells, chosen) in trained.items():
            aim = cells.displacement[number, :, cells.chosen]
            if update not in walks:
                walks[update] = _Walk([*range(chosen - BELOW, chosen + 1)], np.ones(BELOW + 1, dtype=bool))
            _walk(walks[update], draw, update, zero, aim, step)
    moved = {update: _cells(walks[update]) for update in trained}
    found = {u: equal_displacement({"untrained": moved[u], "trained": trained[u][0]}, ["trained"]) for u in trained}
    made: dict[str, tuple[tuple[str, ...], Any]] = {}
    for name, (dims, one) in next(iter(found.values())).items():
        values = np.stack(
            [found[u][name][1][0] if u in found else np.full(one.shape[1:], np.nan) for u in plan.updates]
        )
        made[f"untrained_{name}"] = (dims, values)
    for position, update in enumerate(plan.updates):
        if update in found:
            records.note(in_words(f"{update}, trained beside untrained models", made, position, "untrained_"))
    return made


def _walk(
    walk_so_far: _Walk, draw: Draw, update: str, zero: HeldOut, aim: np.ndarray, step: Callable[[str], None]
) -> None:
    """Add a draw. The first ends the walk where the states have moved as far as `aim` [example, layer]."""
    first, moved, similar = not walk_so_far.displacement, [], []
    nothing = np.full(aim.shape, np.nan)
    for position, one in enumerate(walk([draw], update, [rate_at(e) for e in walk_so_far.exponents], step)):
        refused = bool(refusal(zero, one.held))
        walk_so_far.sane[position] &= not refused
        moved.append(nothing if refused else one.displacement)
        similar.append(nothing if refused else one.sim_aou)
        if first and not refused and (moved[-1] >= aim).mean(axis=0).min() >= VALID:
            break
    walk_so_far.exponents = walk_so_far.exponents[: len(moved)]
    walk_so_far.sane = walk_so_far.sane[: len(moved)]
    walk_so_far.displacement.append(np.stack(moved, axis=1))
    walk_so_far.sim_aou.append(np.stack(similar, axis=1))


def _cells(walked: _Walk) -> RateCells:
    """Sane rates only; where all are refused, the first, which is NaN in some draw."""
    sane = np.flatnonzero(walked.sane) if walked.sane.any() else np.array([0])
    moved, similar = (np.stack(of)[:, :, sane] for of in (walked.displacement, walked.sim_aou))
    return RateCells(moved, similar, len(sane) - 1)
