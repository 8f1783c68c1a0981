"""Maps of layers and heads whose numbers have signs: colours diverge from zero, the bar says what they count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ._theme import ORANGE

_TEXT_UP_TO = 8  # columns: with more, numbers in cells cannot be read at 400 px
BAR = 58
"""Pixels that the bar of colours takes below the axes."""


def map_height(n_layers: int) -> float:
    """Pixels of a panel with so many layers."""
    return float(np.clip(n_layers * 30, 110, 24 * 18 if n_layers > 16 else 360))


def draw_map(
    figure: go.Figure,
    values: np.ndarray,
    row: int,
    *,
    layers: Sequence[int],
    columns: Sequence[Any],
    notes: np.ndarray,
    unit: str,
    mark: Sequence[tuple[int, int]] = (),
    across: str = "head",
) -> None:
    """One panel: layers down, heads (or what `across` names) across.

    Args:
        figure: from `panels`.
        values: [layer, column]; NaN is left white.
        row: of the panel.
        layers, columns: what the rows and columns are called.
        notes: a text for every cell, shown on hovering below the number.
        unit: what the numbers are.
        mark: (layer, column) pairs to frame; columns are numbers there.
        across: title of the horizontal axis.
    """
    gap = 1 if len(columns) <= 32 else 0
    named = "H" if across == "head" else " "
    figure.add_heatmap(
        x=list(columns), y=list(layers), z=values.astype(np.float32), customdata=notes, coloraxis="coloraxis", xgap=gap, ygap=gap,
        hoverongaps=False, texttemplate="%{z:.2f}" if len(columns) <= _TEXT_UP_TO and len(layers) <= 12 else None, name=unit,
        hovertemplate=f"<b>L%{{y}}{named}%{{x}}</b><br>{unit}: %{{z:+.3f}}<br>%{{customdata}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    for layer, column in mark:
        figure.add_shape(
            type="rect", x0=column - 0.5, x1=column + 0.5, y0=layer - 0.5, y1=layer + 0.5, line={"color": ORANGE, "width": 2.5},
            row=row, col=1,
        )  # fmt: skip
    figure.update_yaxes(title="layer", autorange="reversed", dtick=_tick(len(layers), 14), showgrid=False, zeroline=False, row=row, col=1)  # fmt: skip
    dtick = _tick(len(columns), 16) if across == "head" else None
    figure.update_xaxes(title=across, dtick=dtick, showgrid=False, zeroline=False, row=row, col=1)


def signed_colours(figure: go.Figure, values: np.ndarray, unit: str) -> None:
    """One bar for all maps of a figure, symmetric around zero, with `unit` on it."""
    finite = values[np.isfinite(values)]
    top = float(np.abs(finite).max()) if finite.size and np.abs(finite).max() > 0 else 1.0
    bar = {"orientation": "h", "thickness": 10, "len": 1, "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom",
           "ypad": 8, "xpad": 0, "outlinewidth": 0, "nticks": 6, "title": {"text": unit, "side": "bottom", "font": {"size": 12}}}  # fmt: skip
    figure.update_layout(coloraxis={"autocolorscale": True, "cmin": -top, "cmax": top, "cmid": 0, "colorbar": bar})


def _tick(n: int, at_most: int) -> int:
    step = 1
    while n / step > at_most:
        step *= 2
    return step
