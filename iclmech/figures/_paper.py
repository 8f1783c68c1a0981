"""Figures as a paper prints them: one of a result's figures at the width of a column or a page, with type that can be read there."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from iclmech._base import ICLMechError

from ._theme import template

MM = 96 / 25.4
"""CSS pixels in a millimetre: plotly and PDF agree on 96 to the inch."""
WIDTHS = {"column": 85.0, "page": 174.0}
"""Millimetres: a column and the whole width of a two-column page (ACL, NeurIPS and Nature differ by a few)."""
POINT = 96 / 72
_SMALLEST, _USUAL = 7.0, 8.0  # points: what journals ask for at least, and what reads well beside ten-point text
_FORMATS = ("png", "svg", "pdf", "jpg", "webp", "html")


def figure_for(
    result: Any, name: str = "", *, width: str | float | int = "column", height: float | int | None = None
) -> go.Figure:
    """One figure of a result, laid out for print: its width in millimetres, type of 7 to 8 points, no title, a white page.

    What the title and the line below it say belongs into the caption of a paper; it stays in `figure.layout.meta["caption"]`.

    Args:
        result: any result with figures.
        name: of the figure, a key of `result.figures()`; by default the first.
        width: "column" (85 mm), "page" (174 mm), or millimetres.
        height: millimetres; by default that of the figure on a screen, scaled with its type.

    Returns:
        A figure to refine further, or for `save_figure`.

    Raises:
        ICLMechError: the result has no such figure, or the width is none.

    Example:
        >>> import iclmech as icl
        >>> figure = icl.figures.figure_for(icl.training_history(), "emergence", width="page")
        >>> round(figure.layout.width / 96 * 25.4)
        174
    """
    figures = result.figures()
    if not figures:
        raise ICLMechError(f"got a result of kind {result.kind!r}; it has no figures.")
    name = name or next(iter(figures))
    if name not in figures:
        near = difflib.get_close_matches(name, figures, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ICLMechError(f"got the figure {name!r}; this result has {', '.join(figures)}.{meant}")
    wide = WIDTHS.get(width) if isinstance(width, str) else float(width)
    if wide is None or not 20 <= wide <= 500:
        raise ICLMechError(f"got width={width!r}; expected 'column', 'page', or 20 to 500 millimetres.")
    return _for_print(figures[name], wide * MM, None if height is None else float(height) * MM)


def _for_print(figure: go.Figure, width: float, height: float | None) -> go.Figure:
    """Type, lines and margins at the scale of print."""
    layout: Any = figure.layout
    title, below = layout.title.text or "", layout.title.subtitle.text or ""
    scale = _USUAL * POINT / 12  # the figures' own small type is 12 px
    head = 22.0
    tall = height or (float(layout.height or 400) - float(layout.margin.t or 72)) * scale + head
    size = lambda points: {"size": points * POINT}  # noqa: E731 - three uses below
    figure.update_layout(
        template=template("light"), title={"text": None, "subtitle": {"text": None}}, width=width, height=tall
    )
    figure.update_layout(
        font=size(_USUAL), autosize=False, paper_bgcolor="white", legend={"font": size(_SMALLEST), "itemwidth": 30},
        margin={"t": head, "b": float(layout.margin.b or 48) * scale, "l": 10, "r": float(layout.margin.r or 8) * scale},
        meta={**(layout.meta or {}), "caption": " ".join(f"{title}. {below}".replace("<br>", " ").split())},
    )  # fmt: skip
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(title_font=size(_USUAL), tickfont=size(_SMALLEST), title_standoff=4)
    figure.update_annotations(font_size=_SMALLEST * POINT)
    figure.update_coloraxes(colorbar={"tickfont": size(_SMALLEST), "title": {"font": size(_SMALLEST)}})
    return figure


def save_figure(figure: go.Figure, path: str | Path, *, dpi: float | int = 300) -> Path:
    """Write a figure as the ending of the path says: png, svg, pdf, jpg, webp (through kaleido and Chromium), or html.

    Args:
        figure: of `figure_for`, or any other.
        path: the file; a missing directory is made.
        dpi: dots to the inch of printed width, for png, jpg and webp.

    Returns:
        The path.

    Raises:
        ICLMechError: another ending; kaleido or Chromium is missing.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        raise ICLMechError(f"got {path.name!r}; expected a name that ends in {', '.join('.' + f for f in _FORMATS)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "html":
        figure.write_html(path)
        return path
    try:
        figure.write_image(path, scale=dpi / 96 if kind in ("png", "jpg", "webp") else 1)
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        raise ICLMechError(
            f"{path.name} could not be drawn ({type(error).__name__}: {str(error)[:200]}). Images need kaleido and Chromium: "
            "pip install 'iclmech[figures]', and the package chromium of your system; or write .html."
        ) from error
    return path
