"""The page of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech.experiments import interval_name, update_short
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
        "contrasts": Caption(
            "The verdict at a look",
            "Forest plot: accuracy gained, and the paired difference of each update from each control, with intervals. Its numbers are in the tables below.",
            "Right of zero the update is more like the context than the control, or more is right than before. Filled points stand the correction for "
            "the number of verdicts. The control whose difference is nearest to zero decides.",
        ),
        "similarity": Caption(
            "Similarity by layer",
            f"Line chart: SimAOU over {n_layers} layers, one panel per update, with controls and intervals. Its numbers are in the tables below.",
            "Bands are "
            + interval_name(result.means)
            + ". Compare the thick line with each thin one: where the bands of a control and of the "
            "update overlap, the update is not shown to do more than the control. The grey area ends where displacements of this size would lie "
            "if they had no direction of their own; it is no lower bound. Purple is the control that decides. Green lines are other contexts.",
        ),
        "accuracy": Caption(
            "Accuracy by setting",
            "Dot chart: accuracy of the trained and the untrained model in every setting, with intervals. Its numbers are in the tables below.",
            "Dotted lines: zero-shot and in context; dashed: the best constant answer. What is not above both zero-shot and that answer has not "
            "been shown to learn, and an update that gains nothing did not learn the task.",
        ),
        "heads": Caption(
            "Similarity of attention, head by head",
            f"Heat map: SimAM of {n_layers} layers by {n_heads} heads, one panel per update.",
            "Hover over a cell for the head, its value and interval. Grey cells are masked: there the scores do not move, so they have no direction.",
        ),
        "displacement": Caption(
            "Similarity by displacement",
            "Line chart: SimAOU against how far the states moved, one panel per update, with controls and the closed-form null.",
            "Equal learning rates are not equal steps: compare points above one another only. A control that hardly moves says little.",
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
        "“More”, “less”, “gain” and “loss” are said only of what stands the correction for the number of verdicts; all else is “not shown”, "
        "which is not “no difference”. Single intervals are uncorrected."
    ),
    tables=tables,
    attention=attention_payload,
    before_command=_before_command,
)
