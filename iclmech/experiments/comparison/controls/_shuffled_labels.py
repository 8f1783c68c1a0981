"""The same demonstrations under shuffled labels, as context and as update: what the labels are owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREY

from .._control import Control, Trial

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet
    from iclmech.updates import WeightUpdate

    from .._measure import Condition


def in_context(condition: Condition) -> PromptSet:
    """The prompts with the labels of their demonstrations permuted."""
    return condition.once("shuffled labels", lambda: condition.prompts.with_shuffled_labels(condition.seed))


def as_update(condition: Condition, trial: Trial) -> WeightUpdate | None:
    """The update made from them."""
    return trial.learn(in_context(condition), "shuffled_labels")


AS_UPDATE = Control(
    "shuffled_labels", "update", as_update, "shuffled labels", "shuffled labels",
    rank=40, shows="the labels", colour=GREY, dash="dashdot",
)  # fmt: skip
IN_CONTEXT = Control("icl:shuffled_labels", "context", in_context, "shuffled labels", compared=False, contrast=False)
