"""Gaussian noise that moves every layer's states as far as the update does: the control that decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base._palette import GREY

from .._control import Control, Trial, kind_of

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet

    from .._measure import Condition

DRAWS = 5
"""Random changes for each update and seed; their numbers are averaged."""
QUERIES = 16
"""Held-out training queries on which the scales are found."""


def matched_update(condition: Condition, trial: Trial) -> list[Any] | None:
    """Random changes, scaled layer by layer from the bottom to the displacement of the real update.

    At the norm of the real update noise hardly moves a trained model, and the similarity of two shifts grows with their
    lengths, so noise of that norm (`random_update`) is no fair rival. A random vector has one strength, found on the mean over
    the layers behind it. In a layer where no scale from 0 to 1024 times the real
    norm reaches the displacement nothing is compared.

    Source: this project's; that similarity grows with displacement follows from the null of `sim_aou`.
    """
    from .._matched_scales import matched_scales, noise_like, scaled

    if trial.weights is None or not trial.weights.norm() > 0:
        return None
    held_out = condition.once("held-out queries", lambda: _held_out(condition))
    if kind_of(trial.update) == "vector":
        from .._matched_vectors import matched_vectors

        return matched_vectors(condition, trial, held_out, DRAWS)
    noise = noise_like(trial.weights, condition.seed, DRAWS)
    found = matched_scales(condition.model, held_out, condition.plan.position, trial.weights, noise)
    condition.records.scales[trial.update, condition.variant, condition.seed, trial.position] = (
        found.scales,
        found.reached,
        found.aim,
    )
    made = []
    for one, factors, reached in zip(noise, found.scales, found.reached, strict=True):
        update = scaled(trial.weights, one, factors)
        unreached = [int(layer) for layer in np.flatnonzero(~reached)]
        made.append(replace(update, meta={**update.meta, "unreached": unreached}))
    return made


def _held_out(condition: Condition) -> PromptSet:
    from .._prompts import seed_prompts

    task, plan = condition.task, condition.plan
    options = {"n_queries": QUERIES, "queries_from": "train"}
    return seed_prompts(condition.model, task, plan, condition.seed, condition.records, **options)


CONTROL = Control(
    "matched_update", "update", matched_update, "random change, same displacement", "a random weight change that moves the states as far",
    essential=True, rank=20, basic=True, colour=GREY, dash="dot", legend="random, as far",
)  # fmt: skip
