"""One HTML table for every notebook representation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def html_table(
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, title: str = "", notes: Sequence[str] = ()
) -> str:
    """A title, a table and a list of notes; every text is escaped, and lone surrogates become visible escapes.

    >>> html_table(["a"], [["<b>"]])
    '<div><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table></div>'
    """
    top = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    parts = [f"<b>{escape(title)}</b>" if title else ""]
    parts.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")
    parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>" if notes else "")
    return f"<div>{''.join(parts)}</div>".encode("utf-8", "backslashreplace").decode("utf-8")
