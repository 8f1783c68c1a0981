"""Memory or context: accuracies over a grid of data, every seed a dot."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ._curves import style
from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, Theme

_SYMBOLS = ("circle", "diamond", "square", "x", "triangle-up")
_ORDER = ("in_context", "unseen", "flipped", "in_weights", "memory")


def phase_diagram(result: Any, *, theme: Theme = "light") -> go.Figure:
    """One panel for every setting of the axes behind the first, which runs to the right; a dot for each seed, a line through
    the medians. A mean would hide that runs at the boundary end in either phase.

    Args:
        result: a `PhaseDiagram` or a `TaskDiversity` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    values = result.data["accuracy"]
    axes = [str(d) for d in values.dims if d not in ("seed", "test_set")]
    first, rest = axes[0], axes[1:]
    cells = list(itertools.product(*(values[axis].values for axis in rest)))
    titles = [plain(", ".join(f"{_shown(a)} {v}" for a, v in zip(rest, cell, strict=True))) for cell in cells]
    figure = panels(titles, heights=[150.0 if len(cells) > 1 else 260.0] * len(cells), spacing=34)
    sets = sorted(
        (str(s) for s in values["test_set"].values if s != "train"), key=lambda s: _ORDER.index(s) if s in _ORDER else 9
    )
    for row, cell in enumerate(cells, start=1):
        here = values.sel(dict(zip(rest, cell, strict=True)))
        for number, name in enumerate(sets):
            _draw(figure, here.sel(test_set=name).transpose(first, "seed"), name, number, len(sets), row)
        for level in result.data["chance"].values:
            figure.add_hline(y=float(level), line={"color": GREY, "dash": "dot", "width": 1}, row=row, col=1)  # type: ignore[arg-type]
        figure.update_yaxes(range=[-0.05, 1.05], tickvals=[0, 0.5, 1], title="accuracy", row=row, col=1)
    ticks = [plain(str(v)) for v in values[first].values]
    figure.update_xaxes(tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.5, len(ticks) - 0.5])
    figure.update_xaxes(title=plain(_shown(first)), row=len(cells), col=1)
    about = f"A dot for each of {values.sizes['seed']} seeds, lines through medians. Dotted: guessing."
    return finish(figure, title="Memory or context", about=about, theme=theme, legend_rows=1)


def _draw(figure: go.Figure, values: Any, name: str, number: int, count: int, row: int) -> None:
    colour, dash = style(number)
    places = np.arange(values.shape[0]) + 0.11 * (number - (count - 1) / 2)
    shown = plain(name.replace("_", " "))
    figure.add_scatter(
        x=places, y=np.median(values.values, axis=1), mode="lines", line={"color": colour, "width": 1.6, "dash": dash}, opacity=0.7,
        showlegend=False, hoverinfo="skip", legendgroup=name, row=row, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=np.repeat(places, values.shape[1]), y=values.values.ravel(), mode="markers", name=shown, legendgroup=name, showlegend=row == 1,
        marker={"color": colour, "symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 8, "opacity": 0.8},
        customdata=np.tile(values["seed"].values, values.shape[0]),
        hovertemplate=f"{shown}, seed %{{customdata}}: %{{y:.2f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip


def _shown(axis: str) -> str:
    return {
        "n_classes": "classes", "n_tokens": "tokens", "n_tasks": "tasks in training", "bursty": "p(bursty)", "zipf": "Zipf exponent",
    }.get(axis, axis.replace("_", " "))  # fmt: skip
