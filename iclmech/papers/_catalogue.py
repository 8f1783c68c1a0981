"""The list of papers, and of systems that are not asked here, with the reason. Imports no torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iclmech._base import REGISTRIES

from ._paper import Paper

if TYPE_CHECKING:
    import pandas as pd

ELSEWHERE: dict[str, str] = {
    "Decision-pretrained transformers": (
        "in-context learning as posterior sampling in reinforcement learning: there are no environments, actions or regret of "
        "policies here"
    ),
    "Inherent limits of pretrained language models": (
        "instruction tuning held against in-context learning: it needs large models before and after tuning"
    ),
}
"""System → why none of its claims is asked here."""


def paper_table() -> pd.DataFrame:
    """One row per paper: `name`, `title`, `authors`, `year`, `arxiv`, `model`, `asked` (claims that can be asked), `claims`."""
    import pandas as pd

    return pd.DataFrame([_row(REGISTRIES["paper"][name]) for name in REGISTRIES["paper"]])


def _row(paper: Paper) -> dict[str, object]:
    return {
        "name": paper.name, "title": paper.title, "authors": paper.authors, "year": paper.year, "arxiv": paper.arxiv,
        "model": paper.model or ("its own nets" if paper.runs else "–"), "asked": paper.asked, "claims": len(paper.claims),
    }  # fmt: skip


@dataclass(frozen=True)
class Papers:
    """The papers whose claims can be asked, and what is not asked here and why."""

    names: bool = False
    """Only the names, one per line, for loops."""

    def __call__(self) -> None:
        """Write the list."""
        if self.names:
            sys.stdout.write("\n".join(REGISTRIES["paper"].names()) + "\n")
            return
        from rich.console import Console
        from rich.table import Table

        console = Console(width=None if sys.stdout.isatty() else 120)
        table = Table("name", "paper", "arXiv", "asked of", "claims", title="iclmech reproduce NAME")
        for paper in (REGISTRIES["paper"][name] for name in REGISTRIES["paper"]):
            first = f"{paper.title} ({paper.authors}, {paper.year})"
            table.add_row(
                paper.name,
                first,
                paper.arxiv or "–",
                paper.model or ("its own nets" if paper.runs else "–"),
                f"{paper.asked} of {len(paper.claims)}",
            )
        console.print(table)
        for system, why in ELSEWHERE.items():
            console.print(f"Not applicable here: {system} ({why}).", markup=False)
