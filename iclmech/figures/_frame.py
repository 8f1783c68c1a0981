"""The frame of every figure: title and n, theme, legend below, height, panels under one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._text import lines
from ._theme import GREY, Theme, template


def panels(
    titles: Sequence[str], *, shared_x: bool = True, spacing: float | int = 48, heights: Sequence[float | int] = ()
) -> go.Figure:
    """Panels one under another (which holds at 400 px as at 1600 px), with a title at the top left of each.

    Args:
        titles: one per panel, trusted or escaped.
        shared_x: tick labels below the last panel only.
        spacing: pixels between panels.
        heights: pixels of each panel; 220 each by default.
    """
    heights = list(heights) or [220.0] * len(titles)
    total = sum(heights) + spacing * (len(titles) - 1)
    figure = make_subplots(
        rows=len(titles),
        cols=1,
        shared_xaxes=shared_x,
        vertical_spacing=spacing / total if len(titles) > 1 else 0.0,
        row_heights=heights,
    )
    for row, title in enumerate(titles, start=1):
        axis = "" if row == 1 else str(row)
        figure.add_annotation(
            text=f"<b>{title}</b>" if title else "", x=0, xref="paper", xanchor="left", y=1, yref=f"y{axis} domain",
            yanchor="bottom", showarrow=False, yshift=4, font={"size": 13},
        )  # fmt: skip
    figure.update_layout(meta={"plot_height": total})
    return figure


def finish(
    figure: go.Figure,
    *,
    title: str,
    about: str = "",
    theme: Theme = "light",
    legend_rows: int = 1,
    extra: float | int = 0,
) -> go.Figure:
    """Give a figure its title, what it shows and on how many, the theme and a height.

    Args:
        title: short; trusted or escaped.
        about: a line below it (unit, n, how intervals are made); broken to fit 400 px.
        legend_rows: lines that the legend takes at 400 px.
        extra: more pixels of height, for what stands below the axes.
    """
    below = lines(about)
    head = (52 if "<br>" not in below else 46) + 15 * (below.count("<br>") + 1 if below else 0) + 24
    foot = 46 + 19 * legend_rows + extra
    meta: Any = figure.to_plotly_json()["layout"].get("meta") or {}
    plot = meta.get("plot_height", 260.0)
    figure.update_layout(
        template=template(theme),
        title={"text": lines(title, 44), "subtitle": {"text": below}},
        margin={"t": head, "b": foot},
        height=plot + head + foot,
        autosize=True,
        meta={"legend_rows": legend_rows},
    )
    return figure


def symbol_in_legend(figure: go.Figure, name: str, symbol: str, colour: str) -> None:
    """A line of the legend for a symbol that stands for itself, not for a trace."""
    marker = {"symbol": symbol, "color": colour, "size": 10}
    figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=marker, row=1, col=1)


def note(figure: go.Figure, text: str, row: int = 1) -> None:
    """A grey line in the middle of a panel, for what is not there."""
    axis = "" if row == 1 else str(row)
    figure.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", row=row, col=1)  # else there is no axis
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(showticklabels=False, showgrid=False, zeroline=False, row=row, col=1)
    figure.add_annotation(
        text=lines(text, 44),
        x=0.5,
        y=0.5,
        xref=f"x{axis} domain",
        yref=f"y{axis} domain",
        showarrow=False,
        font={"color": GREY},
    )
