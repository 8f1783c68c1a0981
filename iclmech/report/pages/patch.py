"""The page of a patching run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._page import Caption, Page, name_of

if TYPE_CHECKING:
    from iclmech.experiments import Patch

_RUNS = {"icl": "with its demonstrations", "zs": "without demonstrations", "corrupted": "with permuted labels"}


def _question(result: Patch) -> str:
    model, task = (name_of(result, key) for key in ("model", "task"))
    source, into = (_RUNS.get(str(result.provenance.get(n)), "") for n in ("source", "into"))
    return f"How much of {model}'s answers on {task} comes back when single states of a run {source} are put into one {into}?"


def _captions(result: Patch) -> dict[str, Caption]:
    caption = Caption(
        "Log-odds that single places bring back",
        "Heat maps of the change of the right answer's log-odds by layer and head (or role), for the states and for two controls.",
        "A place carries the answer where it beats a random state as far away; what it carries belongs to the query where the state "
        "of another query does not do as well. Places are patched one at a time: shares of different layers do not add up.",
    )
    return dict.fromkeys(result.figures(), caption)


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print="Brackets: intervals of a bootstrap over demonstration sets with their queries.",
)
