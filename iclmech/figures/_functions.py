"""Figures of learners of functions: curves by number of examples, distances, layers, weights, heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._text import plain
from ._theme import DASHES, LABEL_COLOURS, Theme, translucent

_UNITS = {
    "real": ("squared error / d", "squared difference / d"),
    "binary": ("share of wrong answers", "|difference| of P(y = 1)"),
    "symbols": ("total variation to the truth", "total variation"),
}
_PREFIX = "examples seen"
_SPAN = "Lines: means over prompts; bands: their intervals."


def line(
    figure: go.Figure,
    x: Sequence[Any],
    data: xr.DataArray,
    ci: xr.DataArray | None,
    name: str,
    number: int,
    **more: Any,
) -> None:
    """A mean with its band; colour and dash by number, so that lines differ without colour, too."""
    colour, dash = LABEL_COLOURS[number % len(LABEL_COLOURS)], DASHES[number // len(LABEL_COLOURS) % len(DASHES)]
    if ci is not None:
        low, high = (ci.sel(bound=bound).values for bound in ("low", "high"))
        figure.add_scatter(
            x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=translucent(colour, 0.15), mode="lines",
            line={"width": 0}, hoverinfo="skip", legendgroup=name, **{**more, "showlegend": False},
        )  # fmt: skip
    figure.add_scatter(
        x=list(x), y=data.values, name=plain(name), mode="lines+markers", marker={"size": 5}, legendgroup=name,
        line={"color": colour, "dash": dash}, **more,
    )  # fmt: skip


def in_context_curve(result: Any, predictors: Sequence[str] = (), *, theme: Theme = "light") -> go.Figure:
    """Error of a learner and of predictors by number of examples seen.

    Args:
        result: a `PredictorComparison`.
        predictors: which; by default Bayes and a few others that are there.
        theme: "light" or "dark".
    """
    data, kind = result.data, str(result.data.attrs["family_kind"])
    order = [str(name) for name in result.summary()["predictor"]]
    usual = ("bayes", "newton-4", "gd-1", "knn-3", "ols", "zero", "ngram-1", "ngram-2", "ngram-3", "knn-1", "tree")
    names = list(predictors) or [name for name in usual if name in order][:6]
    figure = panels([""], heights=[300.0])
    x = data["prefix"].values.tolist()
    line(figure, x, data["error_model"], data["error_model_ci"], "learner", 0)
    if "error_untrained" in data:
        line(figure, x, data["error_untrained"], None, "untrained", 6)
    for number, name in enumerate(names, start=1):
        line(figure, x, data["error"].sel(predictor=name), None, name, number + (number > 5))
    top = float(np.nanmax(data["error_model"].values)) * 1.35
    figure.update_yaxes(title=_UNITS[kind][0], range=[0, top])
    figure.update_xaxes(title=_PREFIX)
    about = "Band: interval over prompts. Values above the axis are cut."
    return finish(figure, title="In-context curve", about=about, theme=theme, legend_rows=3)


def prediction_difference(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Distance of a learner's answers from those of each predictor, by number of examples; the ceiling and the untrained below.

    Args:
        result: a `PredictorComparison`.
        theme: "light" or "dark".
    """
    data, kind = result.data, str(result.data.attrs["family_kind"])
    names = [str(name) for name in result.summary()["predictor"]]
    rows = {name: data["spd"].sel(predictor=name).values for name in names}
    rows |= {
        shown: data[name].values
        for shown, name in (("another seed (ceiling)", "spd_ceiling"), ("untrained model", "spd_untrained"))
        if name in data
    }
    values = np.array(list(rows.values()))
    figure = panels([""], heights=[24.0 * len(rows)])
    shown = np.log10(np.maximum(values, 1e-4))
    ticks = [-4, -3, -2, -1, 0]
    figure.add_heatmap(
        z=shown, x=data["prefix"].values, y=list(rows), zmin=-3, zmax=0, colorscale="Cividis",
        text=[[f"{v:.1g}".replace("0.", ".") for v in row] for row in values], texttemplate="%{text}", textfont={"size": 9},
        colorbar={"tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks], "thickness": 12},
        hovertemplate="%{y}, %{x} examples: %{text}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title=_PREFIX)
    return finish(
        figure,
        title="Whose answers are these?",
        about=f"{_UNITS[kind][1].capitalize()}, nearest predictor on top; logarithmic colours.",
        theme=theme,
    )


def layer_lens(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Which predictor the readout after every layer is nearest to: distance by layer.

    Args:
        result: a `PredictorComparison`.
        theme: "light" or "dark".
    """
    data = result.data
    figure = panels([""], heights=[280.0])
    last = data["lens"].isel(layer=-1)
    names = [str(n) for n in data["predictor"].values[np.argsort(last.values)][:7]]
    for number, name in enumerate(names):
        one = data["lens"].sel(predictor=name)
        line(figure, data["layer"].values.tolist(), one, data["lens_ci"].sel(predictor=name), name, number)
    figure.update_yaxes(title=_UNITS[str(data.attrs["family_kind"])][1], type="log")
    figure.update_xaxes(title="layer", dtick=1)
    about = "Distance of what the model's own final norm and readout make of the state after a layer. " + _SPAN
    return finish(figure, title="Layer by layer", about=about, theme=theme, legend_rows=3)


def probes(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Held-out R² of probes by layer, with independent weights and the untrained model.

    Args:
        result: a `WeightProbe`.
        theme: "light" or "dark".
    """
    data = result.data
    places = [str(place) for place in data["place"].values]
    figure = panels(places, heights=[170.0] * len(places))
    layers = data["layer"].values.tolist()
    for row, place in enumerate(places, start=1):
        at = data.sel(place=place)
        for number, target in enumerate(map(str, data["target"].values)):
            one = at.sel(target=target, variant="trained")
            line(figure, layers, one["r2"], one["r2_ci"], target, number, row=row, col=1)
        one = at.sel(target="ridge weights", variant="untrained")
        line(figure, layers, one["r2"], None, "ridge weights, untrained model", 6, row=row, col=1)
        figure.update_yaxes(title="R²", range=[-0.35, 1.02], row=row, col=1)
    figure.update_xaxes(title="layer (0: embedding)", dtick=1, row=len(places), col=1)
    seen: set[str] = set()
    traces: Any = figure.data
    for trace in traces:
        if trace.showlegend is not False:
            trace.showlegend = trace.name not in seen
            seen.add(trace.name)
    about = "Held-out R² of ridge probes; bands: intervals over held-out prompts. Values below the axis are cut."
    return finish(figure, title="What can be read off states", about=about, theme=theme, legend_rows=3)


def implied_weights(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Linearity of answers, and the cosine of the implied weights with those of exact predictors.

    Args:
        result: an `ImplicitWeights`.
        theme: "light" or "dark".
    """
    data = result.data
    figure = panels(["Are answers linear in the point?", "Whose weights?"], heights=[150.0, 220.0])
    x = data["prefix"].values.tolist()
    for number, variant in enumerate(map(str, data["variant"].values)):
        name = f"{variant} model"
        line(figure, x, data["linearity"].sel(variant=variant), data["linearity_ci"].sel(variant=variant), name,
              6 * number, row=1, col=1)  # fmt: skip
    for number, name in enumerate(map(str, data["reference"].values), start=1):
        one = data.sel(reference=name)
        line(figure, x, one["cosine"], one["cosine_ci"], name, number + (number > 5), row=2, col=1)
    figure.update_yaxes(title="R²", range=[-0.02, 1.04], row=1, col=1)
    figure.update_yaxes(title="cosine", row=2, col=1)
    figure.update_xaxes(title=_PREFIX, row=2, col=1)
    return finish(figure, title="Implicit weights", about=_SPAN, theme=theme, legend_rows=4)


def curves(
    data: xr.DataArray,
    ci: xr.DataArray,
    along: str,
    *,
    title: str,
    unit: str,
    about: str = _SPAN,
    theme: Theme = "light",
) -> go.Figure:
    """Lines over the number of examples, one for each entry of an axis.

    Args:
        data, ci: [along, prefix] and its bounds.
        along: name of the axis.
        title, unit, about: of the figure and its y axis.
        theme: "light" or "dark".
    """
    figure = panels([""], heights=[280.0])
    for number, name in enumerate(map(str, data[along].values)):
        at = {along: name}
        line(figure, data["prefix"].values.tolist(), data.sel(at), ci.sel(at), name, number)
    figure.update_yaxes(title=unit)
    figure.update_xaxes(title=_PREFIX)
    return finish(figure, title=title, about=about, theme=theme, legend_rows=3)


def task_diversity(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Distance of every learner from the posterior over its pool and from ridge, on its own tasks and on fresh ones.

    Args:
        result: a `TaskDiversity`.
        theme: "light" or "dark".
    """
    data = result.data
    names = [
        f"{plain(str(n))}<br>{int(m)} tasks" for n, m in zip(data["learner"].values, data["pool"].values, strict=True)
    ]
    figure = panels([f"On {tasks} tasks" for tasks in data["tasks"].values], heights=[200.0, 200.0])
    for row, tasks in enumerate(data["tasks"].values, start=1):
        for number, predictor in enumerate(map(str, data["predictor"].values)):
            one = data.sel(tasks=tasks, predictor=predictor)
            low, high = (one["distance_ci"].sel(bound=b).values for b in ("low", "high"))
            value = one["distance"].values
            figure.add_scatter(
                x=names, y=value, mode="markers", name=f"to {predictor}", showlegend=row == 1,
                marker={"color": LABEL_COLOURS[number], "symbol": ("circle", "diamond")[number], "size": 10},
                error_y={"array": high - value, "arrayminus": value - low}, row=row, col=1,
            )  # fmt: skip
        figure.update_yaxes(title="squared difference / d", rangemode="tozero", row=row, col=1)
    return finish(figure, title="Memory or regression?", about="Bars: intervals over prompts.", theme=theme)


def ngram_heads(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Attention of every head on what followed the same symbols, above uniform attention's; and what ideal patterns cost.

    Args:
        result: an `NgramHeads`.
        theme: "light" or "dark".
    """
    data = result.data
    orders = [int(n) for n in data["order"].values]
    figure = panels([f"A({n}): mass above uniform attention" for n in orders] + ["Cost of another pattern, lowest order"],
                    heights=[150.0] * len(orders) + [190.0])  # fmt: skip
    heads = [f"{layer}.{head}" for layer in data["layer"].values for head in data["head"].values]
    for row, order in enumerate(orders, start=1):
        at = data.sel(order=order)
        value = at["above"].values.ravel()
        low, high = (at["above_ci"].sel(bound=b).values.ravel() for b in ("low", "high"))
        figure.add_bar(x=heads, y=value, marker={"color": LABEL_COLOURS[0]}, showlegend=False,
                       error_y={"array": high - value, "arrayminus": value - low}, row=row, col=1)  # fmt: skip
        figure.update_yaxes(title="mass", row=row, col=1)
    at = data.isel(order=0)
    for number, kind in enumerate(("ideal", "uniform")):
        cost = (at["loss"].sel(in_place=kind) - at["loss"].sel(in_place="none")).values.ravel()
        figure.add_scatter(x=heads, y=cost, mode="markers", name=f"{kind} pattern in its place", row=len(orders) + 1, col=1,
                           marker={"color": LABEL_COLOURS[number + 1], "symbol": ("circle", "x")[number], "size": 9})  # fmt: skip
    figure.update_yaxes(title="nats / symbol", row=len(orders) + 1, col=1)
    figure.update_xaxes(type="category")
    figure.update_xaxes(title="layer.head", row=len(orders) + 1, col=1)
    return finish(figure, title="n-gram heads", about="Bars: intervals over prompts.", theme=theme)
