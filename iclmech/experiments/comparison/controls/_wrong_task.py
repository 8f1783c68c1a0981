"""Another task's demonstrations, as context and as update: what this task is owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREEN, ORANGE

from .._control import Control, Trial

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet
    from iclmech.updates import WeightUpdate

    from .._measure import Condition


def in_context(condition: Condition) -> PromptSet | None:
    """The prompts behind demonstrations of the other task; None where there is no other task."""
    other = condition.other_prompts()
    if other is None:
        return None
    return condition.once("wrong task", lambda: condition.prompts.with_demonstrations_of(other))


def as_update(condition: Condition, trial: Trial) -> list[WeightUpdate]:
    """The update made from them."""
    prompts = in_context(condition)
    return [] if prompts is None else trial.learn([prompts], "wrong_task")


AS_UPDATE = Control(
    "wrong_task", "update", as_update, "another task", "another task",
    rank=50, shows="this task", needs_task=True, colour=ORANGE, dash="longdash",
)  # fmt: skip
IN_CONTEXT = Control(
    "icl:wrong_task", "context", in_context, "another task", legend="ICL, another task",
    rank=56, needs_task=True, colour=GREEN, dash="longdash",
)  # fmt: skip
