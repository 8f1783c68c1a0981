"""Where the prediction token's attention goes, layer by layer, and what steering it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from ._frame import finish, panels
from ._text import plain
from ._theme import BLUE, GREEN, GREY, VERMILLION, Theme

if TYPE_CHECKING:
    from iclmech.experiments import Allocation

_PARTS = {"bos": ("BOS", GREY), "context": ("demonstrations", GREEN), "query": ("query", BLUE)}
_STEERING = {"none": "not steered", "steered": "query's tokens weakened", "random_keys": "random keys weakened"}


def allocation_by_layer(result: Allocation, *, theme: Theme = "light") -> go.Figure:
    """Stacked attention by layer, mean over heads and queries, a panel for each template; then accuracy under steering.

    Args:
        result: of `iclmech.attention_allocation`.
        theme: "light" or "dark".
    """
    data = result.data
    templates = [str(t) for t in data["template"].values]
    titles = [*(f"Attention {t} chat template" for t in templates), "Answers under steering"]
    figure = panels(titles, shared_x=False, heights=[180.0] * len(templates) + [200.0], spacing=80)
    for row, template in enumerate(templates, start=1):
        for part, (title, colour) in _PARTS.items():
            values = data["allocation"].sel(template=template, part=part).mean("head").values
            figure.add_bar(
                x=data["layer"].values, y=values, name=title, legendgroup=part, showlegend=row == 1, marker={"color": colour},
                hovertemplate="layer %{x}: %{y:.1%}", row=row, col=1,
            )  # fmt: skip
        figure.update_xaxes(title="layer", row=row, col=1)
        figure.update_yaxes(title="share", range=[0, 1], tickformat=".0%", row=row, col=1)
    for template, symbol, colour in zip(templates, ("circle", "square"), (BLUE, VERMILLION), strict=False):
        at = data.sel(template=template)
        mean, ends = at["accuracy"].values, at["accuracy_ci"].values
        error = {"type": "data", "symmetric": False, "array": ends[:, 1] - mean, "arrayminus": np.maximum(mean - ends[:, 0], 0), "thickness": 1.5}  # fmt: skip
        names = [_STEERING[str(s)] for s in data["steering"].values]
        figure.add_scatter(
            x=names, y=mean, error_y=error, mode="markers", name=f"{template} template", marker={"size": 10, "symbol": symbol, "color": colour},
            hovertemplate="%{x}: %{y:.2f}", row=len(templates) + 1, col=1,
        )  # fmt: skip
    figure.update_yaxes(title="accuracy", rangemode="tozero", row=len(templates) + 1, col=1)
    figure.update_layout(barmode="stack", scattermode="group")
    task = plain(str(result.provenance.get("task", {}).get("name", "")))
    return finish(
        figure,
        title="Where the prediction token's attention goes",
        about=f"{task}, {data.sizes['query']} queries; mean over heads. Bars: 95 %, bootstrap over demonstration sets.",
        theme=theme,
        legend_rows=3,
    )
