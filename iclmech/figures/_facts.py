"""Facts in context and as updates: accuracy by hops and things."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._names import update_name
from ._theme import GREY, SETTING_COLOURS, Theme, update_colour

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")


def facts_accuracy(result: Any, *, theme: Theme = "light") -> go.Figure:
    """A panel for each number of hops: accuracy of every way over the number of things in a set of facts.

    Args:
        result: a `FactsComparison`.
        theme: "light" or "dark".
    """
    data: xr.Dataset = result.data
    hops, things, ways = ([v for v in data[a].values] for a in ("hops", "things", "way"))  # noqa: C416 - numpy scalars
    updates = [str(w).removeprefix("ft:") for w in ways if str(w).startswith("ft:")]
    figure = panels(
        [f"{h} statement{'s' * (h > 1)} to the place" for h in (int(h) for h in hops)], heights=[200] * len(hops)
    )
    for i, way in enumerate(str(w) for w in ways):
        update = way.removeprefix("ft:")
        colour = update_colour(update, updates) if update != way else SETTING_COLOURS[way]
        name = update_name(update) if update != way else {"zs": "zero-shot", "icl": "facts in context"}[way]
        for row, h in enumerate(hops, start=1):
            at = data.sel(way=way, hops=h)
            mean, ends = at["accuracy"].values, at["accuracy_ci"].values
            figure.add_scatter(
                x=[n + 0.12 * (i - (len(ways) - 1) / 2) for n in range(len(things))], y=mean, mode="lines+markers", name=name, legendgroup=way,
                showlegend=row == 1, line={"color": colour, "width": 1.6}, marker={"size": 8, "symbol": _SYMBOLS[i % len(_SYMBOLS)], "color": colour},
                error_y={"type": "data", "array": np.nan_to_num(ends[:, 1] - mean), "arrayminus": np.nan_to_num(mean - ends[:, 0]), "thickness": 1.2, "width": 3},
                hovertemplate=f"{name}: %{{y:.2f}}<extra></extra>", row=row, col=1,
            )  # fmt: skip
    figure.add_hline(y=0.25, line={"color": GREY, "dash": "dash", "width": 1}, annotation={"text": "chance", "font": {"size": 11, "color": GREY}})  # fmt: skip
    figure.update_yaxes(range=[-0.03, 1.05], title="accuracy (share of<br>questions)")
    figure.update_xaxes(tickvals=list(range(len(things))), ticktext=[str(t) for t in things])
    figure.update_xaxes(title="things in a set of facts (all but one distract)", row=len(hops), col=1)
    request = result.provenance["request"]
    about = f"Bars: {100 * request['level']:.0f} % Student intervals over {request['n_episodes']} sets of facts; updates pass over the facts {request['steps']} times, at the rate that is best on other sets."
    return finish(figure, title="Facts in context, facts as gradients", about=about, theme=theme, legend_rows=3)
