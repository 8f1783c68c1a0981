"""Refined demonstrations: accuracy and loss of the context by how far tokens may move."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._theme import GREY, LABEL_COLOURS, SETTING_COLOURS, Theme


def accuracy_by_radius(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy of refined and of randomly moved demonstrations over the radius, and the loss on the demonstrations.

    Args:
        result: a `TunedContexts`.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    figure: Any = panels(["Queries", "The demonstrations' own labels"], heights=[240, 160])
    x = data["radius"].values
    for way, colour, symbol, name in (
        ("tuned", LABEL_COLOURS[0], "circle", "refined"),
        ("random", GREY, "square-open", "moved as far, random directions"),
    ):
        mean, ends = data["accuracy"].sel(way=way).values, data["accuracy_ci"].sel(way=way).values
        figure.add_scatter(
            x=x, y=mean, name=name, mode="lines+markers", line={"color": colour, "width": 2}, marker={"size": 8, "symbol": symbol, "color": colour},
            error_y={"type": "data", "array": ends[:, 1] - mean, "arrayminus": mean - ends[:, 0], "thickness": 1.2, "width": 3},
            hovertemplate=f"{name} within %{{x:g}}: %{{y:.3f}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
    for setting, text in (("icl", "in context, as they are"), ("zs", "zero-shot")):
        colour = SETTING_COLOURS[setting]
        figure.add_hline(
            y=float(data[f"{setting}_accuracy"]), line={"color": colour, "dash": "dot", "width": 1.4}, row=1, col=1,
            annotation={"text": text, "font": {"size": 11, "color": colour}, "yanchor": "bottom", "xanchor": "right"},
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=data["context_loss"].values, mode="lines+markers", showlegend=False, line={"color": LABEL_COLOURS[0]},
        hovertemplate="within %{x:g}: %{y:.3f} nats<extra></extra>", row=2, col=1,
    )  # fmt: skip
    figure.add_hline(
        y=float(data["icl_loss"]), line={"color": SETTING_COLOURS["icl"], "dash": "dot", "width": 1.4}, row=2, col=1
    )
    figure.update_xaxes(type="log")
    figure.update_xaxes(title="radius (share of the norm of a token's embedding)", row=2, col=1)
    figure.update_yaxes(title="accuracy<br>(share of queries)", row=1, col=1)
    figure.update_yaxes(title="loss (nats)", rangemode="tozero", row=2, col=1)
    p = result.provenance
    about = f"k = {p['k']}; bars: {100 * p['level']:.0f} % two-way intervals over {len(p['seeds'])} seeds and {p['n_queries']} queries."
    return finish(figure, title="Demonstrations refined by gradient descent", about=about, theme=theme, legend_rows=2)
