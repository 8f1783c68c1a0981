"""The same demonstrations under shuffled labels, as context and as update: what the labels are owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREEN, GREY

from .._control import Control, Trial

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet
    from iclmech.updates import WeightUpdate

    from .._measure import Condition


def in_context(condition: Condition) -> list[PromptSet]:
    """The prompts with the labels of their demonstrations permuted, several times: one permutation may keep most of them by luck."""
    n, prompts, seed = condition.plan.request.n_permutations, condition.prompts, condition.seed
    return condition.once(
        "shuffled labels",
        lambda: [prompts.with_shuffled_labels(seed)] if n == 1 else prompts.with_permuted_labels(seed, n),
    )


def as_update(condition: Condition, trial: Trial) -> list[WeightUpdate]:
    """The updates made from them."""
    return trial.learn(in_context(condition), "shuffled_labels")


AS_UPDATE = Control(
    "shuffled_labels", "update", as_update, "shuffled labels", "shuffled labels",
    rank=40, shows="the labels", colour=GREY, dash="dashdot",
)  # fmt: skip
IN_CONTEXT = Control(
    "icl:shuffled_labels", "context", in_context, "shuffled labels", legend="ICL, shuffled labels",
    rank=57, colour=GREEN, dash="dashdot",
)  # fmt: skip
