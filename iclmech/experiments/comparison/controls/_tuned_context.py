"""The same demonstrations with refined embeddings: between the context and an update; and with embeddings moved as far at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREEN

from .._control import Control, EditedContext

if TYPE_CHECKING:
    from iclmech.context_tuning import TunedContext

    from .._measure import Condition


def _tuned(condition: Condition) -> TunedContext:
    from iclmech.context_tuning import tune_context  # brings torch

    return condition.once(
        f"tuned context, {condition.variant}", lambda: tune_context(condition.model, condition.prompts)
    )


def tuned_context(condition: Condition) -> EditedContext:
    """The prompts behind demonstrations whose embeddings took gradient steps."""
    return EditedContext(condition.prompts, (_tuned(condition),))


def random_context(condition: Condition) -> EditedContext:
    """Every token moved as far, in a random direction."""
    return EditedContext(condition.prompts, (_tuned(condition).random(condition.seed),))


TUNED = Control(
    "icl:tuned_context", "context", tuned_context, "refined embeddings", legend="ICL, refined embeddings",
    contrast=False, by_name=True, rank=70, colour=GREEN, dash="longdash",
)  # fmt: skip
RANDOM = Control(
    "icl:random_context", "context", random_context, "embeddings moved at random", legend="ICL, embeddings moved at random",
    contrast=False, by_name=True, rank=75, colour=GREEN, dash="longdashdot",
)  # fmt: skip
