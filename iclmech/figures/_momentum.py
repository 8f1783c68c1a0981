"""Momentum in the attention: the rate on training queries, and answers to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ._frame import finish, panels
from ._text import plain
from ._theme import BLUE, GREY, VERMILLION, Theme

if TYPE_CHECKING:
    from iclmech.experiments import Momentum

_STYLE = {"plain": ("plain attention", GREY, "circle"), "momentum": ("momentum", VERMILLION, "square"), "shuffled_values": ("shuffled values", BLUE, "diamond")}  # fmt: skip
_UNIT = "log-probability (nats per token)"


def momentum_curve(result: Momentum, *, theme: Theme = "light") -> go.Figure:
    """Log-probability of the right answer over the rate on training queries, then at the chosen rates on test queries.

    Args:
        result: of `iclmech.momentum_attention`.
        theme: "light" or "dark".
    """
    data = result.data
    figure = panels(
        ["Training queries", "Test queries, at the chosen rate"], shared_x=False, heights=[220, 180], spacing=84
    )
    for name in data["tried"].values:
        title, colour, symbol = _STYLE[str(name)]
        figure.add_scatter(
            x=data["eta"].values, y=data["training_score"].sel(tried=name).values, mode="lines+markers", name=title,
            legendgroup=title, line={"color": colour}, marker={"symbol": symbol, "size": 8}, hovertemplate="η %{x}: %{y:.3f}", row=1, col=1,
        )  # fmt: skip
    whole = float(result.provenance.get("training_plain", float("nan")))
    figure.add_hline(y=whole, line={"color": GREY, "dash": "dash"}, annotation_text="plain attention", row=1, col=1)  # type: ignore[arg-type]  # plotly takes numbers
    for name in data["attention"].values:
        title, colour, symbol = _STYLE[str(name)]
        mean = float(data["score"].sel(attention=name))
        low, high = (float(v) for v in data["score_ci"].sel(attention=name).values)
        figure.add_scatter(
            x=[title], y=[mean], mode="markers", showlegend=False, marker={"symbol": symbol, "size": 11, "color": colour},
            error_y={"type": "data", "symmetric": False, "array": [high - mean], "arrayminus": [mean - low], "color": colour},
            hovertemplate="%{x}: %{y:.3f}", row=2, col=1,
        )  # fmt: skip
    figure.update_xaxes(title="η", type="log", tickvals=data["eta"].values.tolist(), row=1, col=1)
    figure.update_yaxes(title=_UNIT)
    task = plain(str(result.provenance.get("task", {}).get("name", "")))
    return finish(
        figure,
        title="A moving average of past values beside attention",
        about=f"{task}, {data.sizes['query']} queries. Bars: 95 %, bootstrap over demonstration sets.",
        theme=theme,
        legend_rows=1,
    )
