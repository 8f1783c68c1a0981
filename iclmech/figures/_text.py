"""Texts in figures: plotly reads a little HTML and TeX in every label, and a text from data must be neither."""

from __future__ import annotations

import textwrap
import unicodedata

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"}
_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def visible(text: str) -> str:
    """`text` with every control, direction and formatting character and lone surrogate shown as a sign or its code.

    What is invisible or turns the reading direction (U+202E, zero-width joiners) cannot hide in the result.
    """
    return "".join(
        _SIGNS.get(c) or (f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in _UNSEEN else c) for c in str(text)
    )


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
