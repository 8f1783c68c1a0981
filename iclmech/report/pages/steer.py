"""The page of a steering run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._page import Caption, Page, Table, cell, name_of

if TYPE_CHECKING:
    from iclmech.experiments import Steering


def _question(result: Steering) -> str:
    model, task = (name_of(result, key) for key in ("model", "task"))
    return f"Can a {result.title} stand in for the context of {model} on {task}, and what can its controls?"


def _captions(result: Steering) -> dict[str, Caption]:
    return {
        "vector_by_layer": Caption(
            "The vector in each layer",
            "Lines over layers: accuracy, and log-probability of the answer, with the vector and with each control in its place.",
            "A vector stands in for the context where its line leaves all its controls and nears the line in context. The query's own "
            "state is the ceiling. Late layers can give one constant answer: see the number of different answers.",
        ),
        "strength": Caption(
            "The vector by strength",
            "Lines over strengths: accuracy, and log-probability of the answer, in the chosen layer.",
            "Strength 0 is zero-shot. The layer was chosen at the usual strength, on other queries.",
        ),
    }


def _tables(result: Steering) -> list[Table]:
    frames = {"Claims": result.claims(), **result.tables()}
    return [
        Table(title, [str(c) for c in frame.columns], [[cell(v) for v in row] for row in frame.itertuples(index=False)])
        for title, frame in frames.items()
    ]


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print="Brackets: two-way intervals over seeds and queries. The layer is chosen on training queries of which no vector was made.",
    tables=_tables,
)
