"""Figures of updates of a learner of functions beside in-context learning: function, states, rates, layers."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from ._frame import finish, panels
from ._functions import line
from ._theme import LABEL_COLOURS, Theme

_WAYS = {
    "update": "the update", "matched_update": "random, attn_out moved as far", "shuffled_y": "on shuffled values",
    "untrained": "untrained model", "icl_reordered": "ICL, pairs in another order", "icl_other_task": "ICL, another function",
}  # fmt: skip


def function_against_mechanism(result: Any, site: str = "attn_out", *, theme: Theme = "light") -> go.Figure:
    """Every way of learning in two coordinates: does it answer like ICL, and does the task move its states like ICL's?

    Args:
        result: a `FunctionUpdates`.
        site: "attn_out" or "resid_post".
        theme: "light" or "dark".
    """
    data = result.data.sel(site=site)
    figure = panels(["SimAOU", "The task's own part: what differs between two functions"], heights=[250.0, 250.0])
    for row, measure in enumerate(("sim_aou", "specific"), start=1):
        for number, update in enumerate(map(str, data["update"].values)):
            at = data.sel(update=update)
            chosen = at.isel(rate=int(at["chosen"]))
            for way, symbol, cosine in (
                ("update", "circle", chosen["cos_icl"]),
                ("shuffled_y", "x", at["cos_shuffled"]),
            ):
                name = f"{update}: {_WAYS[way]}"
                _point(
                    figure,
                    row,
                    name,
                    number,
                    symbol,
                    cosine,
                    chosen[f"{cosine.name}_ci"],
                    at.sel(comparison=way),
                    measure,
                )
        cosine, ci = (data[name].sel(reference="icl_reordered") for name in ("reference_cos", "reference_cos_ci"))
        again = data.isel(update=0).sel(comparison="icl_reordered")
        _point(figure, row, _WAYS["icl_reordered"], 2, "diamond", cosine, ci, again, measure)
        figure.update_yaxes(title="similarity of states", range=[-0.25, 1.08], row=row, col=1)
    figure.update_xaxes(range=[-0.45, 1.08])
    figure.update_xaxes(title="cosine of implied weights with ICL's", row=2, col=1)
    about = f"States: {site}, mean over layers. Top right is ICL itself. Bars: intervals over tasks."
    return finish(figure, title="Function against mechanism", about=about, theme=theme, legend_rows=3)


def _point(
    figure: go.Figure, row: int, name: str, number: int, symbol: str, cosine: Any, cosine_ci: Any, at: Any, measure: str
) -> None:
    """One way of learning, with its intervals."""
    x, y = float(cosine), float(at[f"{measure}_mean"])
    (x_low, x_high), (y_low, y_high) = cosine_ci.values, at[f"{measure}_mean_ci"].values
    figure.add_scatter(
        x=[x], y=[y], mode="markers", name=name, legendgroup=name, showlegend=row == 1, row=row, col=1,
        marker={"color": LABEL_COLOURS[number], "symbol": symbol, "size": 11},
        error_x={"array": [x_high - x], "arrayminus": [x - x_low]}, error_y={"array": [y_high - y], "arrayminus": [y - y_low]},
    )  # fmt: skip


def updates_by_layer(result: Any, site: str = "attn_out", *, theme: Theme = "light") -> go.Figure:
    """Cosine of implied weights by learning rate; similarity of states by layer, of each update and all that it is held against.

    Args:
        result: a `FunctionUpdates`.
        site: "attn_out" or "resid_post".
        theme: "light" or "dark".
    """
    data = result.data.sel(site=site)
    updates = [str(update) for update in data["update"].values]
    titles = ["Cosine of implied weights with ICL's"] + [
        f"{u}: {m}" for u in updates for m in ("SimAOU", "the task's own part")
    ]
    figure = panels(titles, shared_x=False, heights=[170.0] * len(titles), spacing=70)
    rates = [f"{rate:g}" for rate in data["rate"].values]
    layers, row = data["layer"].values.tolist(), 1
    for number, update in enumerate(updates):
        one = data.sel(update=update)
        line(figure, rates, one["cos_icl"], one["cos_icl_ci"], update, 6 + number, row=1, col=1)
        for measure in ("sim_aou", "specific"):
            row += 1
            for place, way in enumerate(map(str, data["comparison"].values)):
                at = one.sel(comparison=way)
                if bool(at[measure].isnull().all()):
                    continue
                band = at[f"{measure}_ci"] if way in ("update", "icl_reordered") else None
                line(figure, layers, at[measure], band, _WAYS[way], place, row=row, col=1, showlegend=row == 2)
            figure.update_yaxes(title="similarity", range=[-0.5, 1.05], row=row, col=1)
            figure.update_xaxes(title="layer", dtick=1, row=row, col=1)
    figure.update_yaxes(title="cosine", row=1, col=1)
    figure.update_xaxes(title="learning rate", type="category", row=1, col=1)
    about = f"States: {site}, at each update's best rate. Bands: intervals over tasks."
    return finish(figure, title="Updates by rate and by layer", about=about, theme=theme, legend_rows=5)
