"""How in-context learning formed: abilities with their chance lines, attention of heads, and the order of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from ._curves import MARGIN, Curve, draw_curves, level_line, style
from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, Theme, translucent

_HEADS = {
    "target_to_labels": "query → labels",
    "label_to_item": "label → its item",
    "target_to_right": "query → right label",
}
_MASS = "context's labels"
_EVENTS = {
    "target_to_labels_half": "query → labels", "label_to_item_half": "label → its item",
    "target_to_right_half": "query → right label", "label_mass_half": "p(context's labels)", "accuracy_half": "accuracy",
}  # fmt: skip


def formation(history: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy by test set with chance lines; attention of the best heads and probability on the context's labels; and at
    which step each of them had risen half-way, every run a dot.

    Args:
        history: what `iclmech.dynamics.train` returned.
        theme: "light" or "dark".
    """
    data, table = history.data, history.transitions()
    attention = "attention" in data
    events = [name for name in _EVENTS if name in table and not table[name].isna().all()]
    titles = (
        ["Accuracy", "Attention and probability", "Order of events"] if attention else ["Accuracy", "Order of events"]
    )
    heights = [230.0, *([230.0] if attention else []), 40.0 + 26 * len(events)]
    figure = panels(titles, heights=heights)
    accuracy_curves(figure, data)
    if attention:
        _heads(figure, history)
    last = len(titles)
    _order(figure, table, events, last)
    figure.update_xaxes(title="training step", range=[0, float(data["step"].values[-1])], row=last, col=1)
    runs = data.sizes["run"]
    about = f"Thick: median of {runs} runs; thin: each. Dotted: guessing, and even attention. Below: half-rise of each curve, a dot a run."
    finish(figure, title="How in-context learning formed", about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": MARGIN, "l": 118})


def accuracy_curves(figure: go.Figure, data: Any, row: int = 1) -> None:
    """Accuracy of every test set over training, with the lines of guessing."""
    sets = [str(s) for s in data["test_set"].values]
    values = {s: data["accuracy"].sel(test_set=s).values for s in sets}
    if sets == ["train", "in_context"]:  # of the same kind
        sets.remove("train")
    curves = [Curve(s.replace("_", " "), values[s], n) for n, s in enumerate(sets)]
    draw_curves(figure, data["step"].values, curves, row=row, limits=(-0.02, 1.02))
    for guess, level in zip(data["guess"].values, data["chance"].values, strict=True):
        level_line(figure, float(level), f"guessing {guess}", row)
    figure.update_yaxes(title="share of sequences", range=[-0.02, 1.02], row=row, col=1)


def _heads(figure: go.Figure, history: Any) -> None:
    data, curves = history.data, []
    for number, (name, shown) in enumerate(_HEADS.items()):
        by_head = data["attention"].sel(measure=name)
        layers = slice(0, -1) if name == "label_to_item" and by_head.sizes["layer"] > 1 else slice(-1, None)
        flat = by_head.isel(layer=layers).stack(at=("layer", "head")).transpose("run", "step", "at").values
        best = flat[:, -1].argmax(-1)
        curves.append(Curve(shown, np.stack([run[:, head] for run, head in zip(flat, best, strict=True)]), number))
    curves.append(Curve(_MASS, data["label_mass"].values, len(curves)))
    draw_curves(figure, data["step"].values, curves, row=2, limits=(-0.02, 1.02))
    for number, name in enumerate(_HEADS):
        figure.add_hline(
            y=float(data["uniform"].sel(measure=name)), line={"color": translucent(style(number)[0], 0.6), "dash": "dot", "width": 1},
            row=2, col=1,  # type: ignore[arg-type]  # plotly takes numbers
        )  # fmt: skip
    figure.update_yaxes(title="attention; probability", range=[-0.02, 1.02], row=2, col=1)


def _order(figure: go.Figure, table: Any, events: list[str], row: int) -> None:
    ordered = sorted(events, key=lambda name: float(table[name].median()), reverse=True)
    for place, name in enumerate(ordered):
        colour = GREY if name == "accuracy_half" else style(list(_EVENTS).index(name))[0]
        figure.add_scatter(
            x=table[name], y=[place] * len(table), mode="markers", marker={"color": colour, "size": 7, "opacity": 0.75}, showlegend=False,
            customdata=table["seed"], hovertemplate=f"{plain(_EVENTS[name])}, seed %{{customdata}}<br>step %{{x:.0f}}<extra></extra>",
            row=row, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=[table[name].median()], y=[place], mode="markers", marker={"symbol": "line-ns-open", "size": 16, "color": colour, "line": {"width": 3}},
            showlegend=False, hovertemplate="median: %{x:.0f}<extra></extra>", row=row, col=1,
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(ordered))), ticktext=[plain(_EVENTS[n]) for n in ordered], range=[-0.6, len(ordered) - 0.4],
        zeroline=False, row=row, col=1,
    )  # fmt: skip
