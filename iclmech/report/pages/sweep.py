"""The page of a sweep: curves over its axes, the claims of every cell, the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech.figures import measure_name

from .._escape import shown
from .._page import Caption, Page, Table, cell

if TYPE_CHECKING:
    from iclmech._base import Result

_ROWS = 400


def _question(result: Result) -> str:
    axes = ", ".join(shown(axis) for axis in result.provenance["axes"])
    return f"How does what {shown(result.provenance['experiment'])} finds change over {axes}?"


def _captions(result: Result) -> dict[str, Caption]:
    found = {}
    for name in result.figures():
        measure, _, axis = name.rpartition("_over_")
        found[name] = Caption(
            f"{measure_name(measure)} over {shown(axis).replace('_', ' ')}",
            f"Small panels of curves of {measure_name(measure)} with intervals over {shown(axis)}; the numbers are in the tables.",
            "Every point is a cell with its own interval; lines join cells that differ in this axis only.",
        )
    return found


def _tables(result: Result) -> list[Table]:
    made = []
    for title, frame in {"Claims": result.claims(), **result.tables()}.items():
        rows = [[cell(v) for v in row] for row in frame.head(_ROWS).itertuples(index=False)]
        more = f" (the first {_ROWS} of {len(frame)} rows)" if len(frame) > _ROWS else ""
        if len(frame):
            made.append(Table(title + more, [str(c) for c in frame.columns], rows))
    return made


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print="A verdict is of one cell; nothing is corrected for the number of cells.",
    tables=_tables,
)
