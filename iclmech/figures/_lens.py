"""The logit lens: when do the label words become likely on the way up?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclmech._base import ICLMechError
from iclmech.analysis.statistics import clustered_bootstrap

from ._frame import finish, panels
from ._names import setting_name
from ._similarity import layer_tick
from ._text import plain, shortened
from ._theme import DASHES, LABEL_COLOURS, Theme, translucent


def logit_lens(trajectories: Mapping[str, Any], label_words: Sequence[str], *, theme: Theme = "light") -> go.Figure:
    """Log-probability of each label word read off every layer's state, one panel per setting.

    Early layers do not write in the unembedding's basis: a low value there says little.

    Args:
        trajectories: setting ("zs", "icl", "ft:gd") → array [query, layer, label] in nats, as
            `iclmech.analysis.circuit.label_trajectory` gives it; give only queries of one class to see that class win.
        label_words: names of the labels, in order.
        theme: "light" or "dark".

    Raises:
        ICLMechError: no settings, or arrays of another shape.
    """
    if not trajectories:
        raise ICLMechError("got no trajectories; expected at least one setting.")
    figure = panels([setting_name(s) for s in trajectories], heights=[200.0] * len(trajectories))
    n = 0
    for row, (setting, values) in enumerate(trajectories.items(), start=1):
        array = np.asarray(values, dtype=float)
        if array.ndim != 3 or array.shape[-1] != len(label_words) or not array.shape[0]:
            raise ICLMechError(
                f"got an array of shape {array.shape} for {setting!r}; expected [query, layer, {len(label_words)} labels]."
            )
        n = array.shape[0]
        found = clustered_bootstrap(array[None])
        for label, word in enumerate(label_words):
            _draw(figure, found.mean[:, label], found.low[:, label], found.high[:, label], label, word, row)
        figure.update_yaxes(title="log-probability<br>(nats)", row=row, col=1)
    if len(trajectories) > 1:
        figure.update_yaxes(matches="y")
    layers = max(np.asarray(v).shape[1] for v in trajectories.values())
    figure.update_xaxes(tick0=0, dtick=layer_tick(layers))
    figure.update_xaxes(title="layer", row=len(trajectories), col=1)
    about = f"Mean and 95 % interval over queries; n\u00a0=\u00a0{n:,}."
    return finish(figure, title="Label words in every layer", about=about, theme=theme, legend_rows=len(label_words))


def _draw(
    figure: go.Figure, mean: np.ndarray, low: np.ndarray, high: np.ndarray, label: int, word: str, row: int
) -> None:
    colour, name = LABEL_COLOURS[label % len(LABEL_COLOURS)], plain(shortened(word, 34))
    x = list(range(len(mean)))
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=translucent(colour, 0.18), line={"width": 0},
        mode="lines", hoverinfo="skip", showlegend=False, legendgroup=str(label), row=row, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=mean, name=name, legendgroup=str(label), showlegend=row == 1, mode="lines+markers", marker={"size": 5},
        line={"color": colour, "width": 2.2, "dash": DASHES[label % len(DASHES)]}, row=row, col=1,
        hovertemplate=f"{name}<br>layer %{{x}}: %{{y:.2f}} nats<extra></extra>",
    )  # fmt: skip
