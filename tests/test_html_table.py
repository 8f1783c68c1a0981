"""One table for every notebook representation: whatever stands in it is text."""

from __future__ import annotations

import torch

import iclmech as icl
from iclmech._base import html_table


def test_texts_are_texts() -> None:
    page = html_table(["<a>"], [["<script>", "\ud800"]], title="<b>", notes=["<i>"])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;a&gt;" in page
    assert page.encode("utf-8").count(b"\\ud800") == 1
    assert "<li>&lt;i&gt;</li>" in page


def test_what_notebooks_show_goes_through_it() -> None:
    acts = icl.Activations(
        {"x": torch.zeros(2, 3)}, {"x": ("query", "<d>")}, torch.zeros(2, 1), torch.zeros(2), "zs", (0,)
    )
    assert "&lt;d&gt; 3" in acts._repr_html_()
