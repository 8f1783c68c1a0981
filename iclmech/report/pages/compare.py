"""The page of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech.experiments import update_short
from iclmech.mini import MINI_TASKS

from .._attention_pane import attention_payload
from .._page import Caption, Page, name_of
from .._tables import tables

if TYPE_CHECKING:
    from iclmech.experiments import Comparison


def _question(result: Comparison) -> str:
    updates = " and ".join(update_short(u) for u in result.roster.updates) or "gradient descent"
    model, task = (name_of(result, key) or f"the {key}" for key in ("model", "task"))
    return (
        f"Does what {model} does with {result.provenance.get('k', '')} demonstrations of {task} in its context resemble what {updates} on "
        "the same demonstrations do to its weights, more than untrained models, random changes and wrong labels do?"
    )


def _captions(result: Comparison) -> dict[str, Caption]:
    n_layers, n_heads = (result.means.sizes.get(axis, 0) for axis in ("layer", "head"))
    return {
        "similarity": Caption(
            "Similarity by layer",
            f"Line chart: SimAOU over {n_layers} layers, one panel per update, with controls and intervals. Its numbers are in the tables below.",
            "A thick line far above the dashed and dotted ones says that training matters; a line in the grey area says nothing. "
            "The green line, the context in another order, is as high as one can get.",
        ),
        "accuracy": Caption(
            "Accuracy by setting",
            "Dot chart: accuracy of the trained and the untrained model in every setting, with intervals. Its numbers are in the tables below.",
            "If in-context learning gains nothing over zero-shot there is nothing to compare; if an update gains nothing, it did not learn the task.",
        ),
        "heads": Caption(
            "Similarity of attention, head by head",
            f"Heat map: SimAM of {n_layers} layers by {n_heads} heads, one panel per update.",
            "Hover over a cell for the head, its value and interval. Grey cells are masked: there the scores do not move, so they have no direction.",
        ),
        "rates": Caption(
            "Learning rates",
            "Line charts over the learning rate: similarity, accuracy after the update, and the label loss that the rate is chosen by.",
            "Similarity depends on the learning rate: a value at one rate is one point of this curve.",
        ),
    }


def _before_command(result: Comparison) -> str:
    if name_of(result, "task") in MINI_TASKS:
        return ""
    return (
        "The task is not shipped with iclmech. If its records came from files, say where they are: --data and a directory for a "
        "published task, the directory or file itself behind --task for any other."
    )


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print=(
        "Brackets: Student’s 95 % interval over seeds, each a fresh draw of demonstrations. “More” and “less” are said only "
        "where it leaves out zero; the intervals are not corrected for their number."
    ),
    tables=tables,
    attention=attention_payload,
    before_command=_before_command,
)
