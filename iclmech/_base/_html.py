"""One HTML table for every notebook representation."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def visible(text: object) -> str:
    """`text` with every control, direction and formatting character and lone surrogate shown as a sign or its code.

    What is invisible or turns the reading direction (U+202E, zero-width joiners) cannot hide in the result.
    """
    return "".join(
        _SIGNS.get(c) or (f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c) for c in str(text)
    )


def html_table(
    head: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    lead: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """A title, sentences, a table and a list of notes; every text is escaped, and what cannot be seen or turns the direction is shown.

    >>> html_table(["a"], [["<b>"]])
    '<div><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table></div>'
    """
    top = "".join(f"<th>{escape(visible(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(visible(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    parts = [f"<b>{escape(visible(title))}</b>" if title else ""]
    parts += [f"<p>{escape(visible(sentence))}</p>" for sentence in lead]
    parts.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")
    parts.append("<ul>" + "".join(f"<li>{escape(visible(note))}</li>" for note in notes) + "</ul>" if notes else "")
    return f"<div>{''.join(parts)}</div>"
