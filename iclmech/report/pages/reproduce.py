"""The page of a paper's claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._escape import shown
from .._page import Caption, Page, Table, name_of, tables_of

if TYPE_CHECKING:
    from iclmech._base import Result


def _question(result: Result) -> str:
    paper = result.provenance.get("paper", {})
    number = f", arXiv {paper['arxiv']}" if paper.get("arxiv") else ""
    model = name_of(result, "model")
    of = f" Asked of {model}." if model else " Asked of small nets trained here."
    text = f"What becomes of the claims of {paper.get('title', 'a paper')} ({paper.get('authors', '')}, {paper.get('year', '')}{number})?"
    return shown(f"{text}{of} {paper.get('about', '')}".strip())


def _captions(result: Result) -> dict[str, Caption]:
    return {
        "claims": Caption(
            "Claims and their margins",
            "Forest plot: every claim's number with its interval; a triangle at the margin points to where the claim holds, marker and colour tell the verdict.",
            "A claim holds where its whole interval, corrected for the number of claims, lies on its side of the margin.",
        )
    }


def _tables(result: Result) -> list[Table]:
    import pandas as pd

    runs = result.provenance.get("runs", {})
    frame = pd.DataFrame(
        [
            {"run": name, "command": r["command"] or "Python only", "CPU seconds": float(r["seconds"])}
            for name, r in runs.items()
        ]
    )
    claims = result.claims()
    margin = [claim.about.get("margin", float("nan")) for claim in result.judged()]
    found = {"Claims": claims[["claim", "measured", "low", "high", "unit", "control", "verdict"]],
             "Rules": claims[["claim", "source", "rule", "note"]].assign(margin=margin)}  # fmt: skip
    return tables_of(found | ({"Experiments that were called": frame} if len(frame) else {}))


PAGE = Page(
    question=_question,
    captions=_captions,
    small_print="Brackets: 95 % intervals, uncorrected; verdicts by Holm's correction over the claims of the paper. Rules and "
    "margins stand in the paper's file.",
    tables=_tables,
)
