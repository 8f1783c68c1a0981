"""Similarity and accuracy against the learning rate: a similarity at one rate is one point of this curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import ICLMechError

from . import _read as read
from ._frame import finish, note, panels
from ._names import measure_label, setting_name, update_name
from ._theme import GREY, SETTING_COLOURS, Theme, translucent, update_colour

X = str  # "lr" or "norm"


def learning_rate_curve(result: Any, measure: str = "sim_aou", *, x: X = "lr", theme: Theme = "light") -> go.Figure:
    """The measure and the accuracy after the update, over learning rates, each with the rate that was chosen.

    A result with a grid of rates shows the queries of the test set, trained and untrained, with intervals. A result whose
    rate was chosen (`lr="auto"`) shows the curve of that choice: held-out training examples, trained model, first seed.

    Args:
        result: a `Comparison`, or its dataset.
        measure: what the upper panel shows; the curve of a chosen rate has SimAOU only.
        x: "lr", or "norm" for the relative length of the weight change |ΔW| / |W|.
        theme: "light" or "dark".

    Raises:
        ICLMechError: `x` is neither, or the result holds neither a grid of rates nor a curve.
    """
    if x not in ("lr", "norm"):
        raise ICLMechError(f"got x={x!r}; expected 'lr' or 'norm'.")
    data = read.dataset(result)
    if data.sizes.get("lr", 1) > 1 or "rate_accuracy" not in data:
        read.need(data, (f"{measure}_overall", "lr_value"), "learning_rate_curve")
        return _grid(data, measure, x, theme)
    return _chosen(data, x, theme)


def _axis(figure: go.Figure, x: X, row: int) -> None:
    title = "learning rate" if x == "lr" else "length of the weight change, |ΔW| / |W|"
    figure.update_xaxes(type="log", dtick=1, exponentformat="e")
    figure.update_xaxes(title=title, row=row, col=1)


def _chosen(data: xr.Dataset, x: X, theme: Theme) -> go.Figure:
    figure = panels(["Similarity", "Accuracy after the update", "What the rate is chosen by"], heights=[190, 190, 190])
    updates = read.updates(data)
    grid = np.asarray(data["rate"].values, dtype=float)
    for update in updates:
        at = {"update": updates.index(update)}
        rate = read.lr_value(data, update, 0)
        best = (
            int(np.argmin(np.abs(np.log(np.maximum(grid, 1e-300)) - np.log(max(rate, 1e-300)))))
            if np.isfinite(rate)
            else -1
        )
        along = grid if x == "lr" else np.asarray(data["rate_relative_norm"].isel(at).values, dtype=float)
        sim = np.asarray(data["rate_sim_aou"].isel(at).values, dtype=float)
        there = ~np.isnan(sim)
        mean = np.where(there.any(1), np.where(there, sim, 0).sum(1) / np.maximum(there.sum(1), 1), np.nan)
        rows = (mean, data["rate_accuracy"].isel(at).values, data["rate_label_nll"].isel(at).values)
        for row, values in enumerate(rows, start=1):
            _curve(figure, along, np.asarray(values, dtype=float), update, updates, best, grid, row)
    for row, text in enumerate(
        ("SimAOU (cosine,<br>mean over layers)", "accuracy<br>(share of examples)", "label NLL<br>(nats per token)"), 1
    ):
        figure.update_yaxes(title=text, row=row, col=1)
    figure.update_yaxes(range=accuracy_range(figure, "y2"), row=2, col=1)
    for key in ("zs", "icl"):
        value = read.number(data, f"rate_label_nll_{key}")
        if np.isfinite(value):
            _level(figure, value, key, 3)
    _axis(figure, x, 3)
    about = "Held-out training examples, trained model, first seed. Ringed: the chosen rate, of the lowest label NLL."
    return finish(figure, title="Learning rates tried", about=about, theme=theme)


def _curve(
    figure: go.Figure,
    along: np.ndarray,
    values: np.ndarray,
    update: str,
    updates: list[str],
    best: int,
    grid: np.ndarray,
    row: int,
) -> None:
    colour, name = update_colour(update, updates), update_name(update)
    size = [13 if i == best else 6 for i in range(len(values))]
    symbol = ["circle-open-dot" if i == best else "circle" for i in range(len(values))]
    figure.add_scatter(
        x=along, y=values, name=name, legendgroup=update, showlegend=row == 1, mode="lines+markers", line={"color": colour, "width": 2},
        marker={"size": size, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}}, customdata=grid,
        hovertemplate=f"{name} at %{{customdata:.2g}}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip


def _grid(data: xr.Dataset, measure: str, x: X, theme: Theme) -> go.Figure:
    figure = panels(["Similarity", "Accuracy after the update"], heights=[240, 220])
    updates = read.updates(data)
    variants = read.variants(data)
    for update in updates:
        rates = np.array([read.lr_value(data, update, i) for i in range(data.sizes.get("lr", 1))])
        for variant in variants:
            along = rates if x == "lr" else _norms(data, update, variant)
            for row, quantity, at in (
                (1, measure, {"comparison": update}),
                (2, "accuracy", {"setting": f"ft:{update}"}),
            ):
                _points(figure, data, quantity, {**at, "variant": variant}, update, updates, along, rates, row)
        _null(figure, data, measure, update, updates, rates if x == "lr" else _norms(data, update, "trained"))
    for setting in ("zs", "icl"):
        band = read.overall(data, "accuracy", 0, setting=setting, variant="trained")
        if band is not None and not band.empty:
            _level(figure, float(band.mean), setting, 2)
    if not updates:
        note(figure, "no update in this result")
    figure.update_yaxes(title=f"{measure_label(measure)},<br>mean over layers", row=1, col=1)
    figure.update_yaxes(title="accuracy<br>(share of queries)", range=accuracy_range(figure, "y2"), row=2, col=1)
    _axis(figure, x, 2)
    about = f"Solid: trained model; dashed: untrained. Bars: {read.interval(data)}. {read.sample(data)}"
    return finish(
        figure, title=f"{measure_label(measure)} over learning rates", about=about, theme=theme, legend_rows=4
    )


def _null(
    figure: go.Figure, data: xr.Dataset, measure: str, update: str, updates: list[str], along: np.ndarray
) -> None:  # fmt: skip
    """What isotropic noise of each update's size would give: it grows with the rate."""
    bands = [read.overall(data, "null_closed_form", i, comparison=update, variant="trained") for i in range(len(along))]
    if measure != "sim_aou" or any(b is None or b.empty for b in bands):
        return
    name = f"isotropic null of {update_name(update)}"
    figure.add_scatter(
        x=along, y=[float(b.mean) for b in bands if b is not None], name=name, mode="lines", fill="tozeroy", fillcolor=translucent(GREY, 0.1),
        line={"color": update_colour(update, updates), "width": 1, "dash": "dot"}, hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>", row=1, col=1,
    )  # fmt: skip


def accuracy_range(figure: go.Figure, axis: str) -> list[float]:
    """From a tenth below the least of what is drawn, within 0 to 1, to 1."""
    traces: Any = figure.data
    least = 1.0
    for trace in traces:
        if trace.yaxis == axis:
            y = np.asarray(trace.y, dtype=float)
            below = getattr(trace.error_y, "arrayminus", None)
            y = y if below is None else y - np.nan_to_num(np.asarray(below, dtype=float))
            least = min([least, *y[np.isfinite(y)]])
    return [max(0.0, float(np.floor(10 * least) / 10)) - 0.02, 1.02]


def _norms(data: xr.Dataset, update: str, variant: str) -> np.ndarray:
    read.need(data, ("relative_norm",), "learning_rate_curve(x='norm')")
    norms = data["relative_norm"].isel(
        comparison=read.labels(data, "comparison").index(update), variant=read.variants(data).index(variant)
    )
    return np.asarray(norms.mean([d for d in norms.dims if d != "lr"]).values, dtype=float)


def _points(
    figure: go.Figure, data: xr.Dataset, quantity: str, at: dict[str, str], update: str, updates: list[str],
    along: np.ndarray, rates: np.ndarray, row: int,
) -> None:  # fmt: skip
    bands = [read.overall(data, quantity, i, **at) for i in range(len(rates))]
    if any(b is None for b in bands) or all(b.empty for b in bands if b is not None):
        return
    mean, low, high = (np.array([float(getattr(b, part)) for b in bands]) for part in ("mean", "low", "high"))
    trained = at["variant"] == "trained"
    colour = update_colour(update, updates)
    name = update_name(update) + ("" if trained else ", untrained model")
    figure.add_scatter(
        x=along, y=mean, name=name, legendgroup=name, showlegend=row == 1, mode="lines+markers",
        line={"color": colour if trained else translucent(colour, 0.7), "dash": "solid" if trained else "dash", "width": 2.4 if trained else 1.6},
        marker={"size": 7, "symbol": "circle" if trained else "circle-open"},
        error_y={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1, "width": 3},
        customdata=rates, hovertemplate=f"{name} at %{{customdata:.2g}}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip


def _level(figure: Any, value: float, setting: str, row: int) -> None:
    """A horizontal line with its name at the right end."""
    colour = SETTING_COLOURS.get(setting, GREY)
    figure.add_hline(
        y=value, line={"color": colour, "width": 1.4, "dash": "dot"}, row=row, col=1,
        annotation={"text": setting_name(setting), "font": {"color": colour, "size": 11}, "xanchor": "right", "yanchor": "bottom"},
    )  # fmt: skip
