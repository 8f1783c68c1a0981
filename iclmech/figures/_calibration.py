"""Calibration: the reliability diagram with its noise floor, and accuracy by method and ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, LABEL_COLOURS, Theme, translucent

_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star")


def reliability_diagram(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy by confidence for every method, in context; grey: where chance alone keeps a perfectly calibrated model.

    The band is that of the predictions as they are; each point's own is in its bar. A point outside its bar shows an error.

    Args:
        result: a `CalibrationTable`.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    methods = [str(m) for m in data["calibration"].values]
    figure = panels([plain(m) if m != "none" else "as it is" for m in methods], heights=[170] * len(methods))
    for i, method in enumerate(methods):
        rows = data.sel(calibration=method)
        there = np.isfinite(rows["bin_accuracy"].values)
        x, y, low, high, count = (
            rows[f"bin_{p}"].values[there] for p in ("confidence", "accuracy", "low", "high", "count")
        )
        order = np.argsort(x)
        x, y, low, high, count = (v[order] for v in (x, y, low, high, count))
        colour, row = LABEL_COLOURS[i % len(LABEL_COLOURS)], {"row": i + 1, "col": 1}
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines", line={"width": 0},
            fillcolor=translucent(GREY, 0.3), hoverinfo="skip", name="a calibrated model, 95 % of draws", legendgroup="band", showlegend=i == 0, **row,
        )  # fmt: skip
        figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot", "width": 1}, hoverinfo="skip", showlegend=False, **row
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", line={"color": colour, "width": 1.5}, customdata=count, showlegend=False,
            marker={"size": 8, "symbol": _SYMBOLS[i % len(_SYMBOLS)], "color": colour},
            hovertemplate="sure %{x:.2f}, right %{y:.2f} of %{customdata:.0f}<extra></extra>", **row,
        )  # fmt: skip
        at = {"setting": "icl", "calibration": method}
        text = f"ECE {float(data['ece'].sel(at)):.2f}, floor {float(data['ece_floor'].sel(at)):.2f}"
        axis = "" if i == 0 else str(i + 1)
        figure.add_annotation(x=1, y=0.02, xref=f"x{axis} domain", yref=f"y{axis} domain", xanchor="right", yanchor="bottom", text=text, showarrow=False)  # fmt: skip
    figure.update_yaxes(range=[-0.03, 1.03], title="accuracy")
    figure.update_xaxes(range=[float(data["bin_confidence"].min()) - 0.03, 1.01])
    figure.update_xaxes(title="confidence (largest label probability)", row=len(methods), col=1)
    seeds = result.provenance["seeds"]
    about = f"In context, k = {result.provenance['k']}; {data.sizes['bin']} bins of equal mass over {len(seeds)} seeds of {result.provenance['n_queries']} queries. A query repeated over seeds counts as one draw of luck in the band; ECE and floor are means over seeds."
    return finish(figure, title="As right as it is sure?", about=about, theme=theme)


def calibration_accuracy(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy by method, zero-shot and in context; and of self-ensembles, with one long context and single members.

    Args:
        result: a `CalibrationTable`.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    methods = [str(m) for m in data["calibration"].values]
    ensembles = "ensemble_accuracy" in data
    overs = [(str(o), str(j)) for o in data["over"].values for j in data["join"].values] if ensembles else []
    figure = panels(["Calibration", "Self-ensembles"][: 1 + ensembles], shared_x=True, heights=[40 + 38 * len(methods), 40 + 26 * (len(overs) + 3)][: 1 + ensembles])  # fmt: skip
    for i, (setting, called) in enumerate((("zs", "zero-shot"), ("icl", "in context"))):
        y = [len(methods) - 1 - m + 0.14 * (1 - 2 * i) for m in range(len(methods))]
        _points(figure, data, "accuracy", [{"setting": setting, "calibration": m} for m in methods], y, called, i, 1)
    figure.update_yaxes(tickvals=list(range(len(methods))), ticktext=["as it is" if m == "none" else plain(m) for m in methods[::-1]], range=[-0.6, len(methods) - 0.4], row=1, col=1)  # fmt: skip
    if ensembles:
        names = [f"{o}, {j.replace('_', '-')}" for o, j in overs]
        singles = [str(o) for o in data["over"].values]
        n = len(overs) + len(singles) + 1
        _points(figure, data, "ensemble_accuracy", [{"over": o, "join": j} for o, j in overs], [n - 1 - i for i in range(len(overs))], "ensemble", 2, 2)  # fmt: skip
        _points(figure, data, "single_accuracy", [{"over": o} for o in singles], [len(singles) - i for i in range(len(singles))], "its members", 3, 2)  # fmt: skip
        _points(figure, data, "long_accuracy", [{}], [0], "one long context", 4, 2)
        text = [*names, *(f"members, {o}" for o in singles), "one long context"]
        figure.update_yaxes(tickvals=list(range(n)), ticktext=text[::-1], range=[-0.6, n - 0.4], row=2, col=1)
    figure.update_yaxes(showgrid=False, zeroline=False)
    figure.update_xaxes(title="accuracy (share of queries)", row=1 + ensembles, col=1)
    about = f"k = {result.provenance['k']}; bars: {100 * result.provenance['level']:.0f} % two-way intervals over {len(result.provenance['seeds'])} seeds and {result.provenance['n_queries']} queries. Affine: fitted on labelled training queries."
    return finish(figure, title="What calibration gives", about=about, theme=theme, legend_rows=3)


def _points(
    figure: go.Figure, data: xr.Dataset, name: str, places: list[dict[str, str]], y: list, called: str, colour: int, row: int
) -> None:  # fmt: skip
    mean = np.array([float(data[name].sel(at)) for at in places])
    ends = np.array([data[f"{name}_ci"].sel(at).values for at in places], dtype=float)
    shade = LABEL_COLOURS[colour % len(LABEL_COLOURS)]
    figure.add_scatter(
        x=mean, y=y, mode="markers", name=called, marker={"size": 9, "symbol": _SYMBOLS[colour % len(_SYMBOLS)], "color": shade},
        error_x={"type": "data", "array": ends[:, 1] - mean, "arrayminus": mean - ends[:, 0], "thickness": 1.4, "width": 3, "color": shade},
        hovertemplate=f"{called}: %{{x:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
