"""Where the hidden states go, layer by layer, seen on a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclmech._base import ICLMechError
from iclmech.experiments import setting_title

from . import _read as read
from ._accuracy import setting_colour
from ._frame import finish, note, panels
from ._names import setting_entry
from ._text import plain
from ._theme import GREY, Theme


def shift_trajectory(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Paths of the mean shift from zero-shot over layers, projected on a plane: zero-shot → ICL, zero-shot → fine-tuned.

    Segments are straight, since nothing is known between two layers, and both axes have one scale.
    The cross is zero-shot, in every layer; a point is a layer, numbered at the ends and in between. Points near one another
    mean shifts alike *within this plane*: the axes say how much of the shifts it holds.

    Args:
        result: a dataset (or a result with `.data`) with `trajectory` (setting, layer, component), two components, as
            `iclmech.analysis.shift_plane` gives it; with `explained` (component), shares of squared length, the axes name them.
        theme: "light" or "dark".

    Raises:
        ICLMechError: there is no trajectory, or not of two components.
    """
    data = read.dataset(result)
    read.need(data, ("trajectory",), "shift_trajectory")
    points = data["trajectory"].transpose("setting", "layer", "component")
    if points.sizes["component"] != 2:
        raise ICLMechError(f"got a trajectory of {points.sizes['component']} components; expected 2.")
    figure = panels([""], heights=[380])
    layers = [int(v) for v in data["layer"].values]
    settings = [setting_entry(s) for s in read.labels(data, "setting")]
    updates = [s.update for s in settings if s.tuned]
    for at, setting in enumerate(settings):
        colour = setting_colour(setting, updates)
        _path(figure, np.asarray(points.values[at], dtype=float), layers, plain(setting_title(setting)), colour)
    figure.add_scatter(
        x=[0], y=[0], mode="markers", name="zero-shot (every layer)", hoverinfo="skip",
        marker={"symbol": "cross", "size": 13, "color": GREY},
    )  # fmt: skip
    if not np.isfinite(points.values).any():
        note(figure, "no shift with a length")
    shares = [float(v) for v in data["explained"].values] if "explained" in data else [float("nan")] * 2
    for update, n, share in ((figure.update_xaxes, 1, shares[0]), (figure.update_yaxes, 2, shares[1])):
        held = f" ({share:.0%} of squared length)" if np.isfinite(share) else ""
        update(title=f"component {n}{held}", zeroline=True)
    figure.update_yaxes(scaleanchor="x", scaleratio=1)  # angles are angles
    n_queries = read.attribute(data, "n_queries")
    about = "Mean shift from zero-shot, relative to the length of the zero-shot state; numbers are layers."
    about += f" n\u00a0=\u00a0{int(n_queries):,}\u00a0queries." if n_queries else ""
    return finish(figure, title="Where the hidden states go", about=about, theme=theme, legend_rows=3)


def _path(figure: go.Figure, xy: np.ndarray, layers: list[int], name: str, colour: str) -> None:
    step = max(1, len(layers) // 4)
    numbered = [str(n) if i % step == 0 or i == len(layers) - 1 else "" for i, n in enumerate(layers)]
    figure.add_scatter(
        x=xy[:, 0], y=xy[:, 1], mode="lines+markers+text", name=name, text=numbered, textposition="top center",
        textfont={"size": 11, "color": colour}, line={"color": colour, "width": 2.2},
        marker={"size": np.linspace(5, 11, len(layers)), "color": colour}, customdata=layers, connectgaps=False,
        hovertemplate=f"{name}<br>layer %{{customdata}}: (%{{x:.3f}}, %{{y:.3f}})<extra></extra>",
    )  # fmt: skip
