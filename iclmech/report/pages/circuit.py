"""The page of an inference-circuit run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._page import Caption, Page, Table, name_of, tables_of

if TYPE_CHECKING:
    from iclmech.experiments import Circuit


def _question(result: Circuit) -> str:
    model, task = (name_of(result, key) for key in ("model", "task"))
    return f"Which steps of the inference circuit does {model} take on {task}: what is lost when their edges are cut, and under controls?"


def _captions(result: Circuit) -> dict[str, Caption]:
    return {
        "circuit": Caption(
            "The circuit and what its cuts cost",
            "Diagram of token groups with arrows, above a dot chart of the accuracy lost when each arrow's edges are cut.",
            "An arrow matters where its cut costs more than as many random edges and than other edges of the same attention.",
        ),
        "heads": Caption(
            "Heads that attend to the right label",
            "Heat map of correct induction by layer and head.",
            "Choose a head on other prompts before you read it here.",
        ),
    }


def _tables(result: Circuit) -> list[Table]:
    return tables_of(
        {"Which steps hold": result.verdict(), "Settings and cuts": result.summary(), "Layers": result.layers()}
    )


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print="Brackets: 95 % intervals, a bootstrap over demonstration sets and the queries in them.",
    tables=_tables,
)
