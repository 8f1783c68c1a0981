"""One table for every notebook representation: whatever stands in it is text."""

from __future__ import annotations

import torch

import iclmech as icl
from iclmech._base import html_table


def test_texts_are_texts() -> None:
    page = html_table(["<a>"], [["<script>", "\ud800"], ["\u202e", "\0"]], title="<b>", notes=["<i>\u2066"])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;a&gt;" in page
    for hidden in ("D800", "202E", "0000", "2066"):
        assert f"⟨U+{hidden}⟩" in page
    assert page.isprintable()
    assert "<li>&lt;i&gt;⟨U+2066⟩</li>" in page


def test_what_notebooks_show_goes_through_it() -> None:
    acts = icl.Activations(
        {"x": torch.zeros(2, 3)}, {"x": ("query", "<d>")}, torch.zeros(2, 1), torch.zeros(2), "zs", (0,)
    )
    assert "&lt;d&gt; 3" in acts._repr_html_()
