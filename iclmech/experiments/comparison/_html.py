"""How a comparison shows itself in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 40


def comparison_html(title: str, summary: pd.DataFrame, notes: list[str]) -> str:
    """The title, the first rows of the summary with intervals, and the notes."""
    head = "".join(
        f"<th>{escape(c)}</th>" for c in ("measure", "name", "variant", "mean", "interval", "over seeds", "masked")
    )
    body = []
    for row in summary.head(_ROWS).to_dict("records"):
        cells = (
            *(str(row[c]) for c in ("measure", "name", "variant")),
            f"{row['mean']:.3f}",
            f"[{row['low']:.3f}, {row['high']:.3f}]",
            f"[{row['seed_low']:.3f}, {row['seed_high']:.3f}]",
            f"{row['masked']:.0%}" if row["masked"] == row["masked"] else "",
        )
        body.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    more = f"<p>… {len(summary) - _ROWS} more rows in .summary()</p>" if len(summary) > _ROWS else ""
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    page = (
        f"<div><b>{escape(title)}</b><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>{more}"
        f"<ul>{listed}</ul></div>"
    )
    return page.encode("utf-8", "backslashreplace").decode("utf-8")  # lone surrogates cannot be shown
