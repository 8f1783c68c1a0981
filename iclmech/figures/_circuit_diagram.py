"""The inference circuit: what flows where, and what is lost without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from . import _read as read
from ._frame import finish, panels
from ._text import plain
from ._theme import BLUE, GREEN, GREY, ORANGE, VERMILLION, Theme

_PLACES = {"x": (0.0, 1.0), "s": (1.0, 1.0), "y": (2.0, 1.0), "x_q": (1.0, 0.0), "s_q": (2.0, 0.0)}
_PATHS = {  # edge → [(from, to, how far it bends aside)]; wider cuts that leave no way around are outer arcs
    "x->s": [("x", "s", 0.0)], "s->y": [("s", "y", 0.0)], "y->s_q": [("y", "s_q", 0.0)], "x_q->s_q": [("x_q", "s_q", 0.0)],
    "x+s->y": [("x", "y", 1.3)], "y->x_q+s_q": [("y", "s_q", 0.75), ("y", "x_q", -0.35)],
}  # fmt: skip
_WORDS = {
    "x": "x<br>input text", "s": "s<br>forerunner", "y": "y<br>label", "x_q": "x<sub>q</sub><br>query text",
    "s_q": "s<sub>q</sub><br>prediction",
}  # fmt: skip
_ARMS = {
    "cut": ("these edges cut", VERMILLION, "circle"),
    "random": ("as many random edges cut", GREY, "diamond-open"),
    "mass": ("edges of equal attention cut", ORANGE, "square-open"),
}


def circuit_diagram(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Above: the roles of tokens and the edges between them; below: the accuracy lost when an edge is cut, and under controls.

    An arrow is as wide as the accuracy its cut costs beyond random edges; it is dashed where the interval of that includes zero.
    Outer arcs are the wider cuts that leave no way around: from input or forerunner to label, from label to any part of the query.
    The number beside it is the attention that flows along it (per destination, layer and head, in the window of layers).

    Args:
        result: a `Circuit`, or a dataset with `lost`, `lost_ci`, `mass_cut` (edge, arm) and `excess`, `excess_ci` (edge, control).
        theme: "light" or "dark".

    Raises:
        ICLMechError: the result has no cuts.
    """
    data = read.dataset(result)
    read.need(data, ("lost", "lost_ci", "mass_cut", "excess", "excess_ci"), "circuit_diagram")
    edges = read.labels(data, "edge")
    names = [f"{chr(ord('A') + i)}: {plain(e).replace('-&gt;', ' → ')}" for i, e in enumerate(edges)]
    figure = panels(["", "Accuracy lost"], heights=[270, max(110, 62.0 * len(edges))], shared_x=False, spacing=44)
    for i, edge in enumerate(edges):
        _arrow(figure, data, edge, chr(ord("A") + i))
    figure.add_scatter(
        x=[p[0] for p in _PLACES.values()], y=[p[1] for p in _PLACES.values()], mode="markers", hoverinfo="skip", showlegend=False,
        marker={"size": 26, "color": BLUE, "opacity": 1}, row=1, col=1,
    )  # fmt: skip
    for node, (x, y) in _PLACES.items():
        figure.add_annotation(
            x=x, y=y, text=_WORDS[node], showarrow=False, yshift=36 if y else -36, font={"size": 12}, xref="x", yref="y"
        )
    figure.update_xaxes(visible=False, range=[-0.45, 2.75], row=1, col=1)
    figure.update_yaxes(visible=False, range=[-0.55, 1.95], row=1, col=1)
    for offset, arm in enumerate(a for a in _ARMS if a in read.labels(data, "arm")):
        _effects(figure, data, edges, arm, offset)
    figure.update_yaxes(
        tickvals=list(range(len(edges))), ticktext=[_row_name(data, e, n) for e, n in zip(edges, names, strict=True)],
        range=[len(edges) - 0.4, -0.5], showgrid=False, zeroline=False, row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="accuracy lost (share of queries)", zeroline=True, row=2, col=1)
    about = "Arrow: as wide as the accuracy lost beyond random edges, dashed if that may be zero; number: attention along it. Outer arcs: cuts that leave no way around. Bars: bootstrap intervals, uncorrected."
    return finish(figure, title="Inference circuit", about=about, theme=theme, legend_rows=3)


def _row_name(data: xr.Dataset, edge: str, name: str) -> str:
    if "window_first" not in data:
        return name
    first, last = (int(data[n].sel(edge=edge)) for n in ("window_first", "window_last"))
    return f"{name}<br>layer {first}" if first == last else f"{name}<br>layers {first}–{last}"


def _arrow(figure: go.Figure, data: xr.Dataset, edge: str, letter: str) -> None:
    paths = _PATHS.get(edge)
    if paths is None:
        return
    control = "random" if "random" in read.labels(data, "control") else read.labels(data, "control")[0]
    excess = float(data["excess"].sel(edge=edge, control=control))
    low, high = (float(data["excess_ci"].sel(edge=edge, control=control, bound=b)) for b in ("low", "high"))
    mass = float(data["mass_cut"].sel(edge=edge, arm="cut"))
    certain = low > 0 or high < 0
    colour = GREEN if certain else GREY
    width = 1.5 + 12 * float(np.clip(np.nan_to_num(excess), 0, 0.75))
    for n, (start, stop, bend) in enumerate(paths):
        x, y = _arc(_PLACES[start], _PLACES[stop], bend)
        figure.add_scatter(
            x=x, y=y, mode="lines", showlegend=False, hoverinfo="skip", row=1, col=1,
            line={"color": colour, "width": width, "dash": "solid" if certain else "dash", "simplify": False},
        )  # fmt: skip
        at = int(0.72 * len(x))
        figure.add_scatter(
            x=x[at - 1 : at + 1], y=y[at - 1 : at + 1], mode="markers", showlegend=False, row=1, col=1,
            marker={"symbol": "arrow", "angleref": "previous", "size": [0, 13 + width], "color": colour},
            hovertemplate=f"{plain(edge)}<br>attention {mass:.2f}<br>accuracy lost beyond random edges {excess:.3f} [{low:.3f}, {high:.3f}]<extra></extra>",
        )  # fmt: skip
        if n == 0:
            text = f"<b>{letter}</b> {mass:.2f}" if np.isfinite(mass) else f"<b>{letter}</b>"
            middle, level = len(x) // 2, y[0] == y[-1]
            aside = (-14 if not y[0] else 14) if level else 0
            figure.add_annotation(
                x=x[middle], y=y[middle], text=text, showarrow=False, yshift=aside, xshift=0 if level else 34 if bend else -30,
                xref="x", yref="y",
            )  # fmt: skip


def _arc(start: tuple[float, float], stop: tuple[float, float], bend: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a curve that bends to its left by `bend` of half the distance; straight for 0."""
    t = np.linspace(0, 1, 41)
    (x0, y0), (x1, y1) = start, stop
    length = float(np.hypot(x1 - x0, y1 - y0))
    over = (x0 + x1) / 2 - bend * (y1 - y0) / length, (y0 + y1) / 2 + bend * (x1 - x0) / length
    return tuple((1 - t) ** 2 * a + 2 * t * (1 - t) * m + t**2 * b for a, m, b in zip(start, over, stop, strict=True))  # type: ignore[return-value]  # two


def _effects(figure: go.Figure, data: xr.Dataset, edges: list[str], arm: str, offset: int) -> None:
    name, colour, symbol = _ARMS[arm]
    mean = np.array([float(data["lost"].sel(edge=e, arm=arm)) for e in edges])
    low, high = (
        np.array([float(data["lost_ci"].sel(edge=e, arm=arm, bound=b)) for e in edges]) for b in ("low", "high")
    )
    figure.add_scatter(
        x=mean, y=np.arange(len(edges)) + 0.22 * (offset - 1), mode="markers", name=name, row=2, col=1,
        marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
        error_x={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1.4, "width": 4},
        customdata=np.stack([low, high], axis=-1), hovertemplate=f"{name}: %{{x:.3f}} [%{{customdata[0]:.3f}}, %{{customdata[1]:.3f}}]<extra></extra>",
    )  # fmt: skip
