"""What a vector does in the place of the context: by layer, and by strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base._palette import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION

from ._frame import finish, panels
from ._theme import SETTING_COLOURS, Theme, translucent

if TYPE_CHECKING:
    from iclmech.experiments import Steering

_LINES = {
    "none": ("", BLUE, "solid"),
    "own": ("the query's own state in context", GREEN, "longdash"),
    "random": ("random, same length", GREY, "dot"),
    "random_heads": ("other heads of the same layers", VERMILLION, "dot"),
    "wrong_task": ("another task's", ORANGE, "dash"),
    "shuffled_labels": ("permuted labels", PURPLE, "dashdot"),
}
_BANDS = ("none", "random", "own")
_MEASURES = {"accuracy": "accuracy (share)", "log_prob": "log-probability of the answer (nats per token)"}


def vector_by_layer(result: Steering, *, theme: Theme = "light") -> go.Figure:
    """Accuracy and the answer's log-probability with the vector in each layer, beside its controls; dotted lines are chosen layers.

    Args:
        result: a `Steering` of a vector that acts in one layer.
        theme: "light" or "dark".
    """
    data, usual = result.data, float(result.provenance["usual_strength"])
    figure = panels(list(_MEASURES.values()), heights=[240, 200])
    for row, measure in enumerate(_MEASURES, start=1):
        for control in _shown(data):
            at = {"setting": "vector", "control": control, "strength": usual}
            mean = data[measure].sel(at).mean("seed")
            _line(figure, result, control, data["layer"].values, mean, data[f"{measure}_ci"].sel(at), row)
        _levels(figure, data, measure, row)
        for layer in sorted({int(n) for n in data["chosen_layer"].values}):
            where: Any = {"row": row, "col": 1}
            figure.add_vline(x=layer, line={"color": BLUE, "dash": "dot", "width": 1}, layer="below", **where)
    figure.update_xaxes(dtick=max(1, len(data["layer"]) // 10))
    figure.update_xaxes(title="layer behind which the vector goes in", row=2, col=1)
    about = f"Strength {usual:g}; bands (vector, random, own): {_intervals(result)}. Dotted: layers chosen on held-out queries. {_sample(result)}"
    return finish(
        figure,
        title=f"A {result.title} in the place of the context, by layer",
        about=about,
        theme=theme,
        legend_rows=len(_shown(data)) + 1,
    )


def strength_curve(result: Steering, *, theme: Theme = "light") -> go.Figure:
    """Accuracy and the answer's log-probability by strength, each seed in its chosen layer: means, with single seeds as dots.

    Args:
        result: a `Steering`.
        theme: "light" or "dark".
    """
    data = result.data
    figure = panels(list(_MEASURES.values()), heights=[240, 200])
    strengths = data["strength"].values
    for row, measure in enumerate(_MEASURES, start=1):
        for control in (c for c in _shown(data) if c != "own"):
            by_seed = data[measure].sel(setting="vector", control=control).sel(layer=data["chosen_layer"])
            _line(figure, result, control, strengths, by_seed.mean("seed"), None, row)
            if control == "none":
                for one in by_seed.transpose("seed", "strength").values:
                    figure.add_scatter(
                        x=strengths, y=one, mode="markers", marker={"size": 4, "color": GREY, "opacity": 0.7}, showlegend=False,
                        hovertemplate="one seed: %{y:.3f}<extra></extra>", row=row, col=1,
                    )  # fmt: skip
        _levels(figure, data, measure, row)
    figure.update_xaxes(title="strength (0: zero-shot)", row=2, col=1)
    about = f"Each seed in the layer chosen on held-out queries; small dots are seeds. {_sample(result)}"
    return finish(
        figure, title=f"A {result.title} by strength", about=about, theme=theme, legend_rows=len(_shown(data))
    )


def _shown(data: xr.Dataset) -> list[str]:
    """The controls that were run; the last is drawn on top."""
    return [control for control in reversed(_LINES) if control in data["control"].values]


def _line(
    figure: go.Figure, result: Steering, control: str, x: np.ndarray, mean: xr.DataArray, ci: Any, row: int
) -> None:
    name, colour, dash = _LINES[control]
    name = name or f"the {result.title}"
    y = np.asarray(mean.values, dtype=float)
    if np.isnan(y).all():
        return
    if ci is not None and control in _BANDS:
        low, high = (np.asarray(ci.sel(bound=b).values, dtype=float) for b in ("low", "high"))
        known = np.isfinite(low) & np.isfinite(high)
        figure.add_scatter(
            x=[*x[known], *x[known][::-1]], y=[*high[known], *low[known][::-1]], fill="toself", mode="lines",
            line={"width": 0}, fillcolor=translucent(colour, 0.14), hoverinfo="skip", showlegend=False, legendgroup=name,
            row=row, col=1,
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=y, name=name, legendgroup=name, showlegend=row == 1, mode="lines+markers",
        legendrank=list(_LINES).index(control) + 1, line={"color": colour, "dash": dash, "width": 3 if control == "none" else 1.8}, marker={"size": 6, "color": colour},
        hovertemplate=f"{name}, %{{x}}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip


def _levels(figure: go.Figure, data: xr.Dataset, measure: str, row: int) -> None:
    """Zero-shot and in context, as lines across."""
    for setting, text in (("zs", "zero-shot"), ("icl", "in context")):
        level = float(data[f"{measure}_chosen"].sel(setting=setting, control="none"))
        if np.isfinite(level):
            colour = SETTING_COLOURS[setting]
            label = {
                "text": text,
                "font": {"size": 11, "color": colour},
                "xanchor": "left",
                "x": 0,
                "yanchor": "bottom",
            }
            line = {"color": colour, "dash": "dash", "width": 1}
            where: Any = {"row": row, "col": 1}
            figure.add_hline(y=level, line=line, annotation=label, layer="below", **where)


def _intervals(result: Steering) -> str:
    return f"{100 * float(result.provenance.get('level', 0.95)):g} % two-way intervals over seeds and queries"


def _sample(result: Steering) -> str:
    about = result.provenance
    return f"{about['model']['name']}, {about['task']['name']}, {len(about['seeds'])} seeds × {about['n_queries']} queries, k = {about['k']}."
