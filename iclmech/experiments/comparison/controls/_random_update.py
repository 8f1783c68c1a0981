"""Gaussian noise with the norm of the update, matrix by matrix, run through the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREY

from .._control import Control, Trial

if TYPE_CHECKING:
    from iclmech.updates import WeightUpdate

    from .._measure import Condition


def random_update(condition: Condition, trial: Trial) -> WeightUpdate | None:
    """A random ΔW of the same norm; nothing where the update diverged.

    It hardly moves the states of a trained model, so it decides nothing: that is `matched_update`.
    """
    return trial.weights.random_like(condition.seed) if trial.weights is not None else None


CONTROL = Control(
    "random_update", "update", random_update, "random weight change", "a random weight change",
    essential=True, kinds=("weights",), rank=25, colour=GREY, dash="longdash", legend="random weights",
)  # fmt: skip
