"""A Gaussian vector of the same length, in the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREY

from .._control import Control, Trial

if TYPE_CHECKING:
    from iclmech.vectors import StandIn

    from .._measure import Condition

DRAWS = 3
"""Random vectors for each seed; their numbers are averaged."""


def random_vector(condition: Condition, trial: Trial) -> list[StandIn]:
    """Random vectors as long as the real one in every layer."""
    real = trial.weights
    return [real.random_like(condition.seed * DRAWS + draw) for draw in range(DRAWS)] if real is not None else []  # type: ignore[misc]  # a vector's control


CONTROL = Control(
    "random_vector", "update", random_vector, "random vector", "a random vector of the same length",
    essential=True, kinds=("vector",), rank=25, colour=GREY, dash="dot",
)  # fmt: skip
