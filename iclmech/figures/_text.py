"""Texts in figures: plotly reads a little HTML and TeX in every label, and a text from data must be neither."""

from __future__ import annotations

import textwrap

from iclmech._base import visible

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"}


def plain(text: str) -> str:
    """`text` for a plotly label, as the characters it consists of: no markup, links, TeX or template variables."""
    return "".join(_ENTITIES.get(c, c) for c in visible(text))


def shortened(text: str, n: int = 28) -> str:
    """At most `n` characters, the middle left out."""
    text = str(text)
    if len(text) <= n:
        return text
    head = (n - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (n - 1 - head) :]}"


def lines(text: str, width: int = 56) -> str:
    """A trusted text broken into lines that fit a figure 400 px wide."""
    return "<br>".join(textwrap.wrap(text, width, break_long_words=True, break_on_hyphens=False)) or ""
