"""Names at the ends of lines: no legend to look up, no two names on top of one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

STEP = 13.0
"""Pixels between two names at 11 px."""


def spread(wanted: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as a distance of `step` allows, within [low, high] where they fit.

    >>> spread([0.0, 0.1, 5.0], 1.0, -1.0, 6.0)
    [-0.45, 0.55, 5.0]
    """
    order = np.argsort(wanted, kind="stable")
    groups: list[list[float]] = []  # [sum of wanted places, members, first place]
    for n in order:
        groups.append([float(wanted[n]), 1.0, float(wanted[n])])
        while len(groups) > 1 and groups[-2][2] + groups[-2][1] * step > groups[-1][2]:
            upper = groups.pop()
            total, members = groups[-1][0] + upper[0], groups[-1][1] + upper[1]
            groups[-1] = [total, members, total / members - (members - 1) * step / 2]
    placed = [first + i * step for _, members, first in groups for i in range(int(members))]
    if placed and placed[-1] > high:
        for i in range(len(placed) - 1, -1, -1):
            placed[i] = min(placed[i], high - (len(placed) - 1 - i) * step)
    for i, place in enumerate(placed):
        placed[i] = max(place, low + i * step)
    found = [0.0] * len(placed)
    for place, n in zip(placed, order, strict=True):
        found[int(n)] = round(place, 6)
    return found


def end_labels(
    figure: go.Figure,
    ends: Sequence[tuple[float, str, str]],
    *,
    row: int,
    span: tuple[float, float],
    height: float | int = 220,
) -> None:
    """Write a name right of each line, in its colour, as near to its end as the others allow.

    Args:
        figure: from `panels`.
        ends: (y of the last point, name, colour) of each line; names trusted or escaped.
        row: of the panel.
        span: range of its y axis.
        height: pixels of the panel.
    """
    low, high = span
    per_pixel = (high - low) / height
    axis = "" if row == 1 else str(row)
    places = spread([y for y, _, _ in ends], STEP * per_pixel, low, high)
    for (_, name, colour), place in zip(ends, places, strict=True):
        figure.add_annotation(
            text=name, x=1, xref=f"x{axis} domain", xanchor="left", xshift=14, y=place, yref=f"y{axis}", yanchor="middle",
            showarrow=False, font={"size": 11, "color": colour}, align="left",
        )  # fmt: skip
