"""Formulas as MathML, which browsers set themselves: no script, no fonts, no network. Docutils has the converter."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(_set(node.astext(), block=False))
    raise nodes.SkipNode


def _display(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{_set(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def _set(tex: str, *, block: bool) -> str:
    return str(latex2mathml.tex2mathml(tex.strip(), as_block=block))


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True}
