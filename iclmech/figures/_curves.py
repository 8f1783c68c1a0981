"""Curves over training steps: every run thin, the median thick, names at their ends instead of in a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from ._frame import finish
from ._text import lines, plain
from ._theme import DASHES, GREY, LABEL_COLOURS, Theme, translucent

_MARGIN = 118
"""Pixels on the right for the names."""
_GAP = 0.075  # of the axis, between two names


class Curve(NamedTuple):
    """One name with a curve for every run, [run, step]."""

    name: str
    values: np.ndarray
    number: int = 0


def style(number: int) -> tuple[str, str]:
    """Colour and dash of the n-th curve: each differs from the others without colour too."""
    return LABEL_COLOURS[number % len(LABEL_COLOURS)], DASHES[number % len(DASHES)]


def draw_curves(
    figure: go.Figure,
    steps: Sequence[float] | np.ndarray,
    curves: Sequence[Curve],
    *,
    row: int = 1,
    limits: tuple[float, float] = (0.0, 1.0),
    named: bool = True,
) -> None:
    """Thin lines for runs, a thick one for their median, and its name at its end."""
    ends = []
    for curve in curves:
        colour, dash = style(curve.number)
        for run, values in enumerate(curve.values):
            figure.add_scatter(
                x=steps, y=values, mode="lines", line={"color": translucent(colour, 0.35), "width": 1}, showlegend=False,
                hovertemplate=f"{plain(curve.name)}, run {run}<br>step %{{x}}: %{{y:.3g}}<extra></extra>", row=row, col=1,
            )  # fmt: skip
        middle = np.ma.median(np.ma.masked_invalid(curve.values), axis=0).filled(np.nan)
        figure.add_scatter(
            x=steps, y=middle, mode="lines", line={"color": colour, "width": 2.6, "dash": dash}, showlegend=False,
            name=plain(curve.name), hovertemplate=f"{plain(curve.name)}, median<br>step %{{x}}: %{{y:.3g}}<extra></extra>", row=row, col=1,
        )  # fmt: skip
        ends.append((plain(curve.name), float(middle[-1]), colour))
    if named:
        name_ends(figure, ends, limits, row)


def name_ends(figure: go.Figure, ends: Sequence[tuple[str, float, str]], limits: tuple[float, float], row: int) -> None:
    """Names right of the panel at the height at which their curves end, moved apart where they would meet."""
    axis, reach = "" if row == 1 else str(row), limits[1] - limits[0]
    ordered = sorted(ends, key=lambda end: end[1])
    places = spread([(y - limits[0]) / reach for _, y, _ in ordered])
    for (name, _, colour), place in zip(ordered, places, strict=True):
        figure.add_annotation(
            text=lines(name, 18), x=1, xref=f"x{axis} domain", xanchor="left", xshift=4, y=place, yref=f"y{axis} domain", yanchor="middle",
            showarrow=False, font={"size": 11, "color": colour}, align="left",
        )  # fmt: skip


def spread(places: Sequence[float], gap: float = _GAP) -> list[float]:
    """Rising places from 0 to 1, moved as little as it takes to be `gap` apart.

    >>> [round(p, 3) for p in spread([0.5, 0.5], gap=0.1)]
    [0.45, 0.55]
    """
    groups: list[list[float]] = []  # members, drawn to their mean
    for place in places:
        groups.append([min(max(place, 0.0), 1.0)])
        while len(groups) > 1 and _start(groups[-1], gap) < _start(groups[-2], gap) + gap * len(groups[-2]):
            last = groups.pop()
            groups[-1].extend(last)
    return [_start(group, gap) + n * gap for group in groups for n in range(len(group))]


def _start(group: Sequence[float], gap: float) -> float:
    extent = gap * (len(group) - 1)
    return min(max(sum(group) / len(group) - extent / 2, 0.0), max(0.0, 1.0 - extent))


def level_line(figure: go.Figure, y: float, text: str, row: int = 1) -> None:
    """A dotted grey line with its name at the left."""
    figure.add_hline(y=y, line={"color": GREY, "dash": "dot", "width": 1.2}, row=row, col=1)  # type: ignore[arg-type]
    axis = "" if row == 1 else str(row)
    figure.add_annotation(
        text=plain(text), x=1, xref=f"x{axis} domain", xanchor="right", y=y, yref=f"y{axis}", yanchor="bottom", showarrow=False,
        font={"size": 10, "color": GREY}, xshift=-3,
    )  # fmt: skip


def finish_named(
    figure: go.Figure, *, title: str, about: str, theme: Theme = "light", left: int | None = None
) -> go.Figure:
    """Give a figure whose curves bear their names its title and theme, and room for the names in place of a legend.

    Args:
        title, about, theme: as in `finish`.
        left: pixels on the left, where what stands there is long.
    """
    finish(figure, title=title, about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": _MARGIN, **({} if left is None else {"l": left})})
