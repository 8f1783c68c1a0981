"""What the snapshots of a training show: likeness to gradient descent, what clamps elicit, what training on top does."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclmech.experiments import update_short

from ._curves import Curve, draw_curves, finish_named, level_line, style
from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, Theme, translucent


def likeness(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy, SimAOU with its controls, and the label-specific part, over training.

    Args:
        result: a `SimilarityOverTraining` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    data, updates = result.data, result.updates
    labels = bool(np.isfinite(data["label_specific"].values).any())
    titles = ["Accuracy", "SimAOU, and of a random change with the same effect (dotted)"]
    figure = panels(
        [*titles, *(["What the right labels add to SimAOU"] if labels else [])], heights=[200.0] * (2 + labels)
    )
    shown = {"icl": "in context", "zs": "zero-shot", **{f"ft:{u}": f"after {update_short(u)}" for u in updates}}
    numbers = {"icl": 2, "zs": 6, **{f"ft:{u}": n for n, u in enumerate(updates)}}
    _drawn(figure, result, "accuracy", "setting", shown, numbers, 1, (-0.02, 1.02))
    own = {u: update_short(u) for u in updates}
    places = {u: n for n, u in enumerate(updates)}
    low = min(-0.1, float(np.nanmin(data["sim_aou"].values)) - 0.05)
    _drawn(figure, result, "sim_aou", "comparison", own, places, 2, (low, 1.0))
    for update in updates:
        control = f"{update}:matched_update"
        if control in data["comparison"].values:
            middle = data["sim_aou"].sel(comparison=control).median("run").values
            line = {"color": style(places[update])[0], "dash": "dot", "width": 1.6}
            figure.add_scatter(
                x=data["step"], y=middle, mode="lines", line=line, showlegend=False, name=plain(control), row=2, col=1,
                hovertemplate=f"{plain(own[update])}, random change<br>step %{{x}}: %{{y:.3g}}<extra></extra>",
            )  # fmt: skip
    if labels:
        values = data["label_specific_ci" if data.sizes["run"] < 3 else "label_specific"].values
        reach = (min(-0.05, float(np.nanmin(values))) - 0.02, max(0.1, float(np.nanmax(values))) + 0.02)
        _drawn(figure, result, "label_specific", "update", own, places, 3, reach)
    figure.update_yaxes(title="share right", row=1, col=1)
    for row in range(2, 3 + labels):
        figure.update_yaxes(title="cosine", row=row, col=1)
        figure.add_hline(y=0, line={"color": GREY, "width": 1}, row=row, col=1)  # type: ignore[arg-type]
    figure.update_xaxes(title="training step", row=2 + labels, col=1)
    runs = data.sizes["run"]
    how = (
        f"Thick: median of {runs} runs; thin: each."
        if runs > 2
        else "Bands: 95 %, over demonstration sets and queries."
    )
    return finish_named(figure, title="When learning in context looks like gradient descent", about=how, theme=theme)


def _drawn(
    figure: go.Figure, result: Any, measure: str, axis: str, shown: dict[str, str], numbers: dict[str, int], row: int,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    """Curves of one measure; of fewer than three runs the intervals of the first as bands."""
    data, steps = result.data, result.data["step"].values
    there = [name for name in shown if name in data[axis].values]
    if data.sizes["run"] < 3:
        for name in there:
            low, high = data[f"{measure}_ci"].isel(run=0).sel({axis: name}).transpose("bound", "step").values
            known = np.isfinite(low) & np.isfinite(high)
            x, y = np.concatenate([steps[known], steps[known][::-1]]), np.concatenate([high[known], low[known][::-1]])
            figure.add_scatter(
                x=x, y=np.clip(y, *limits), fill="toself", mode="none", fillcolor=translucent(style(numbers[name])[0], 0.14),
                showlegend=False, hoverinfo="skip", row=row, col=1,
            )  # fmt: skip
    curves = [Curve(shown[n], data[measure].sel({axis: n}).transpose("run", "step").values, numbers[n]) for n in there]
    draw_curves(figure, steps, curves, row=row, limits=limits)
    figure.update_yaxes(range=limits, row=row, col=1)


def elicited(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Accuracy of the snapshots with parts of the circuit given, and the step at which each run reached the level.

    Args:
        result: a `HiddenLead` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    data = result.data
    conditions = [str(c) for c in data["condition"].values]
    own = ["none", *result.clamps]
    figure = panels(["Accuracy", f"First at {result.level:g}"], heights=[260.0, 40.0 + 26 * len(conditions)])
    names = {c: _name(c) for c in conditions}
    number = {c: own.index(c.partition(": ")[2] or c) for c in conditions}
    curves = [Curve(names[c], data["accuracy"].sel(condition=c).values, number[c]) for c in own]
    draw_curves(figure, data["step"].values, curves, limits=(-0.02, 1.02))
    level_line(figure, result.level, f"{result.level:g}")
    ordered = sorted(
        conditions,
        key=lambda c: float(np.median(np.nan_to_num(data["reached"].sel(condition=c).values, nan=1e9))),
        reverse=True,
    )
    for place, condition in enumerate(ordered):
        steps = data["reached"].sel(condition=condition).values
        symbol = "circle" if condition in own else "circle-open"
        figure.add_scatter(
            x=steps, y=[place] * len(steps), mode="markers", showlegend=False, row=2, col=1,
            marker={"color": style(number[condition])[0], "size": 8, "opacity": 0.75, "symbol": symbol},
            hovertemplate=f"{plain(names[condition])}: step %{{x:.0f}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(title="share right", range=[-0.02, 1.02], row=1, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(ordered))), ticktext=[plain(names[c]) for c in ordered], range=[-0.6, len(ordered) - 0.4],
        zeroline=False, row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="training step", range=[0, float(data["step"].values[-1])], row=2, col=1)
    about = f"Thick: median of {data.sizes['run']} runs; thin, and dots: each. Open: the same heads, attention drawn at random."
    return finish_named(figure, title="There before it shows?", about=about, theme=theme, left=190)


def _name(condition: str) -> str:
    if condition == "none":
        return "the net as it is"
    control, _, clamps = condition.rpartition(": ")
    words = clamps.replace("_", " ").replace("+", " + ")
    return f"random: {words}" if control else words


def on_top(result: Any, *, theme: Theme = "light") -> go.Figure:
    """What training on each set did to the loss in context and zero-shot, and which parts the sets hold.

    Args:
        result: a `Supportive` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    data = result.data
    sets = [str(s) for s in data["set"].values if s != "none"]
    figure = panels(["Loss that the training took away", "Parts of the sequences of each set"], heights=[220.0, 200.0])
    for number, (setting, name) in enumerate((("icl", "in context"), ("zs", "zero-shot"))):
        colour = style(2 if setting == "icl" else 6)[0]
        for place, chosen in enumerate(sets):
            values = result.change(chosen, setting=setting)
            x = place + 0.24 * (number - 0.5)
            figure.add_scatter(
                x=[x] * len(values), y=values, mode="markers", marker={"color": colour, "size": 7, "opacity": 0.6},
                name=name, legendgroup=name, showlegend=place == 0, row=1, col=1,
                hovertemplate=f"{plain(chosen)}, {name}: %{{y:.3f}} nats<extra></extra>",
            )  # fmt: skip
            figure.add_scatter(
                x=[x], y=[values.mean()], mode="markers", showlegend=False, row=1, col=1, hoverinfo="skip",
                marker={"symbol": "line-ew-open", "size": 18, "color": colour, "line": {"width": 3}},
            )  # fmt: skip
    base = np.zeros(len(sets))
    for number, part in enumerate(str(p) for p in data["parts"].values):
        share = data["share"].sel(parts=part, set=sets).mean("seed").values
        figure.add_bar(
            x=list(range(len(sets))), y=share, base=base, width=0.5, name=plain(part), marker={"color": style(number)[0]}, row=2, col=1,
            hovertemplate=f"{plain(part)}: %{{y:.0%}}<extra></extra>",
        )  # fmt: skip
        base = base + share
    figure.add_hline(y=0, line={"color": GREY, "width": 1}, row=1, col=1)  # type: ignore[arg-type]
    figure.update_yaxes(title="nats", row=1, col=1)
    figure.update_yaxes(title="share of sequences", range=[0, 1], row=2, col=1)
    figure.update_xaxes(
        tickvals=list(range(len(sets))), ticktext=[plain(s) for s in sets], range=[-0.6, len(sets) - 0.4]
    )
    about = f"Dots: {data.sizes['seed']} seeds, draws of everything; dashes: their mean. Above 0: training helped."
    return finish(
        figure, title="Which training sequences support learning in context", about=about, theme=theme, legend_rows=2
    )
