"""The same demonstrations in another order: how much of a likeness the order alone takes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREEN

from .._control import Control

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet

    from .._measure import Condition


def reordered(condition: Condition) -> PromptSet:
    """The prompts with their demonstrations permuted."""
    return condition.once("reordered", lambda: condition.prompts.reordered(condition.seed))


CONTROL = Control(
    "icl:reordered", "context", reordered, "reordered", legend="ICL, another order",
    essential=True, rank=60, colour=GREEN, dash="solid",
)  # fmt: skip
