"""Accuracy by annotation and retrieval, with the vote of the retrieved labels; and by the number of demonstrations."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, LABEL_COLOURS, Theme

_SYMBOLS = ("circle", "square", "triangle-up", "cross", "star")


def selection_table(result: Any, *, theme: Theme = "light") -> go.Figure:
    """A line for each annotation and retrieval: the model's accuracy, and that of the vote of the same labels (open).

    Args:
        result: a `SelectionComparison`.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    annotations, retrievals = ([str(v) for v in data[a].values] for a in ("annotation", "retrieval"))
    lines = [(a, r) for a in annotations for r in retrievals]
    where = {line: len(lines) - 1 - i for i, line in enumerate(lines)}
    figure = panels([""], heights=[max(140, 26 * len(lines) + 30)])
    for kind, shift in (("vote", -0.18), ("accuracy", 0.12)):
        for i, retrieval in enumerate(retrievals):
            at = [(a, retrieval) for a in annotations]
            mean, low, high = _band(data, kind, [{"annotation": a, "retrieval": r} for a, r in at])
            model, colour = kind == "accuracy", LABEL_COLOURS[i % len(LABEL_COLOURS)]
            symbol = _SYMBOLS[i % len(_SYMBOLS)]
            figure.add_scatter(
                x=mean, y=[where[line] + shift for line in at], mode="markers",
                name=f"{plain(retrieval)} retrieval" if model else f"{plain(retrieval)}: vote",
                marker={"size": 10 if model else 8, "color": colour, "symbol": symbol if model else f"{symbol}-open", "line": {"width": 2, "color": colour}},
                error_x={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1.4, "width": 3, "color": colour if model else GREY},
                hovertemplate="%{x:.3f}<extra></extra>", legendrank=i if model else 10 + i,
            )  # fmt: skip
    for value, text in ((float(data["constant"]), "constant"), (float(data["zero_shot"]), "zero-shot")):
        figure.add_vline(
            x=value, line={"color": GREY, "dash": "dash" if text == "constant" else "dot", "width": 1}, layer="below",
            annotation={"text": text, "font": {"size": 11, "color": GREY}, "yanchor": "bottom" if text == "constant" else "top",
                        "y": 1 if text == "constant" else 0, "xanchor": "left"},
        )  # fmt: skip
    names = {where[line]: f"{plain(line[0].replace('_', ' '))} · {plain(line[1])}" for line in lines}
    figure.update_yaxes(tickvals=list(names), ticktext=list(names.values()), range=[-0.6, len(lines) - 0.4], showgrid=False, zeroline=False)  # fmt: skip
    figure.update_xaxes(title="accuracy (share of queries)")
    about = (
        f"k = {result.provenance['k']}; annotation · retrieval. Bars: {100 * result.provenance['level']:.0f} % two-way intervals over "
        f"{len(result.provenance['seeds'])} seeds and {result.provenance['n_queries']} queries. Open: majority vote of the same labels, no model."
    )
    return finish(figure, title="Which demonstrations help", about=about, theme=theme, legend_rows=len(retrievals) + 1)


def accuracy_by_tokens(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy against prompt tokens: fixed numbers of demonstrations (lines), and a number by query at each threshold (rings).

    A ring stands at the tokens of the prompts that were answered; the cross on its right at those of all prompts that were tried.

    Args:
        result: a `SelectionComparison` with a ladder.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    figure = panels([""], heights=[300])
    for i, retrieval in enumerate(str(r) for r in data["retrieval"].values):
        colour, rows = LABEL_COLOURS[i % len(LABEL_COLOURS)], data.sel(retrieval=retrieval)
        mean, low, high = _band(rows, "rung_accuracy", [{"k": k} for k in data["k"].values])
        figure.add_scatter(
            x=rows["rung_tokens"].values, y=mean, mode="lines+markers", name=f"{plain(retrieval)}, fixed number",
            line={"color": colour, "width": 2}, marker={"size": 7, "symbol": _SYMBOLS[i % len(_SYMBOLS)]},
            error_y={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1, "width": 3}, customdata=data["k"].values,
            hovertemplate="k = %{customdata}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
        mean, _, _ = _band(rows, "adaptive_accuracy", [{"threshold": t} for t in data["threshold"].values])
        for tokens, symbol, text in (("adaptive_tokens", "circle-open", "number by query"), ("spent_tokens", "x-thin", "tokens of the search")):  # fmt: skip
            figure.add_scatter(
                x=rows[tokens].values, y=mean, mode="markers", name=f"{plain(retrieval)}, {text}", customdata=data["threshold"].values,
                marker={"size": 11 if symbol == "circle-open" else 8, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}},
                hovertemplate="as soon as %{customdata} sure: %{y:.3f} at %{x:.0f} tokens<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title="prompt tokens (mean over queries)")
    figure.update_yaxes(title="accuracy (share of queries)")
    numbers = ", ".join(str(k) for k in data["k"].values)
    about = f"Lines: {numbers} demonstrations, bars {100 * result.provenance['level']:.0f} % two-way intervals. Rings: thresholds {', '.join(f'{t:g}' for t in data['threshold'].values)}."
    rows = 3 * data.sizes["retrieval"]
    return finish(figure, title="How many demonstrations a query needs", about=about, theme=theme, legend_rows=rows)


def _band(data: xr.Dataset, name: str, places: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, lower and upper ends at some places."""
    mean = np.array([float(data[name].sel(at)) for at in places])
    ends = np.array([data[f"{name}_ci"].sel(at).values for at in places], dtype=float)
    return mean, ends[:, 0], ends[:, 1]
