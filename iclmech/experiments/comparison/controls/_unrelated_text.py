"""Text without a task in the place of the demonstrations: what any text before the query does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREEN

from .._control import Control

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet

    from .._measure import Condition


def unrelated_text(condition: Condition) -> PromptSet:
    """The prompts behind unrelated text: words of the other task's demonstrations where there is one."""
    source = condition.other_prompts()
    return condition.once(
        "unrelated text", lambda: condition.prompts.with_unrelated_text(condition.seed, source=source)
    )


CONTROL = Control(
    "icl:unrelated_text", "context", unrelated_text, "unrelated text", "unrelated text before the query", legend="ICL, unrelated text",
    rank=55, basic=True, colour=GREEN, dash="dot",
)  # fmt: skip
