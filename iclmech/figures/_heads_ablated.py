"""Function-vector heads against induction heads: what their ablation costs, and both scores of every head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from ._frame import finish, panels
from ._text import plain
from ._theme import BLUE, GREY, VERMILLION, Theme

if TYPE_CHECKING:
    from iclmech.experiments import HeadsThatMatter

_STYLE = {
    "function_vector": ("function-vector heads", VERMILLION, "solid", "circle"),
    "induction": ("induction heads", BLUE, "solid", "square"),
    "random_function_vector": ("random, layers of function-vector heads", VERMILLION, "dot", "circle-open"),
    "random_induction": ("random, layers of induction heads", BLUE, "dot", "square-open"),
}


def heads_ablated(result: HeadsThatMatter, *, theme: Theme = "light") -> go.Figure:
    """Accuracy on the task, and loss on repeated random tokens, over the share of heads that is ablated.

    Args:
        result: of `iclmech.heads_that_matter`.
        theme: "light" or "dark".
    """
    data = result.data
    share = np.array([0.0, *data["share"].values])
    whole, loss = float(data["right_intact"].mean()), float(data["copying_loss_intact"])
    figure = panels(["Answers", "Copying of repeated random tokens"], shared_x=False, heights=[230, 180], spacing=84)
    for name, (title, colour, dash, symbol) in _STYLE.items():
        at = data.sel(ranking=name)
        mean, ends = np.array([whole, *at["accuracy"].values]), at["accuracy_ci"].values
        common = {"mode": "lines+markers", "name": title, "legendgroup": name, "line": {"color": colour, "dash": dash}}
        common["marker"] = {"symbol": symbol, "size": 8, "color": colour}
        error = {"type": "data", "symmetric": False, "array": [0, *(ends[:, 1] - mean[1:])], "arrayminus": [0, *(mean[1:] - ends[:, 0])],
                 "thickness": 1.2, "width": 3}  # fmt: skip
        figure.add_scatter(x=share, y=mean, error_y=error, hovertemplate="%{x:.0%}: %{y:.2f}", row=1, col=1, **common)
        figure.add_scatter(x=share, y=[loss, *at["copying_loss"].values], showlegend=False, hovertemplate="%{x:.0%}: %{y:.2f}", row=2, col=1, **common)  # fmt: skip
    figure.update_xaxes(title="share of all heads ablated", tickformat=".0%")
    figure.update_yaxes(title="accuracy", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="loss (nats per token)", row=2, col=1)
    task = plain(str(result.provenance.get("task", {}).get("name", "")))
    return finish(
        figure,
        title="What is lost without the best heads",
        about=f"{task}, {data.sizes['query']} queries; means in the place of outputs. Bars: 95 %, bootstrap over demonstration sets.",
        theme=theme,
        legend_rows=4,
        extra=12,
    )


def two_scores(result: HeadsThatMatter, *, theme: Theme = "light") -> go.Figure:
    """Every head by its function-vector score and its induction score; hovering names it."""
    data = result.data
    effect, prefix = (data[f"{name}_score"].values for name in ("function_vector", "induction"))
    layers = np.broadcast_to(np.arange(effect.shape[0])[:, None], effect.shape)
    names = [f"L{layer}H{head}" for layer, head in np.ndindex(effect.shape)]
    figure = panels([""], heights=[300])
    bar = {"title": {"text": "layer", "side": "top"}, "thickness": 10}
    figure.add_scatter(
        x=prefix.ravel(), y=effect.ravel(), mode="markers", text=names, showlegend=False, row=1, col=1,
        marker={"size": 8, "color": layers.ravel(), "colorscale": "Cividis", "colorbar": bar, "line": {"width": 0.5, "color": GREY}},
        hovertemplate="<b>%{text}</b><br>prefix matching %{x:.2f}<br>effect %{y:+.4f}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="induction score (prefix matching, share of attention)")
    figure.update_yaxes(title="function-vector score (mean change of P)")
    return finish(
        figure,
        title="Two scores of every head",
        about="Effect of the head's mean output under permuted labels; attention to what followed last time.",
        theme=theme,
        legend_rows=0,
    )
