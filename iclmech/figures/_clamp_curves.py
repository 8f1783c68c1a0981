"""Losses over training by condition: clamps, progress measures, factors; and forgetting."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from ._curves import MARGIN, Curve, draw_curves, level_line, style
from ._frame import finish, panels
from ._text import plain
from ._theme import GREY, Theme

_SETS = ("unseen", "flipped", "in_weights")


def clamp_curves(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Loss on the training mix under each clamp, and the step at which every run got below the level.

    Args:
        result: a `Clamped` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    data, conditions = result.data, result.conditions
    which = data["condition"].values
    level = float(data["steps_to_level"].attrs["level"])
    titles = ["Loss on the training mix, under the clamp", f"Steps to loss {level:g}"]
    figure = panels(titles, heights=[260.0, 40.0 + 26 * len(conditions)])
    curves = [Curve(c, data["train_loss"].values[which == c], n) for n, c in enumerate(conditions)]
    top = float(np.nanmax(data["train_loss"].values))
    draw_curves(figure, data["loss_step"].values, curves, limits=(0.0, 1.05 * top))
    level_line(figure, level, f"{level:g}")
    figure.update_yaxes(title="cross-entropy (nats)", range=[0, 1.05 * top], row=1, col=1)
    times = {c: data["steps_to_level"].values[which == c] for c in conditions}
    ordered = sorted(conditions, key=lambda c: float(np.median(np.nan_to_num(times[c], nan=np.inf))), reverse=True)
    for place, name in enumerate(ordered):
        figure.add_scatter(
            x=times[name], y=[place] * len(times[name]), mode="markers", showlegend=False, marker={"color": style(conditions.index(name))[0], "size": 8, "opacity": 0.75},
            hovertemplate=f"{plain(name)}: step %{{x:.0f}}<extra></extra>", row=2, col=1,
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(ordered))),
        ticktext=[plain(n) for n in ordered],
        range=[-0.6, len(ordered) - 0.4],
        zeroline=False,
        row=2,
        col=1,
    )
    figure.update_xaxes(title="training step", range=[0, float(data["step"].values[-1])], row=2, col=1)
    runs = len(which) // max(1, len(conditions))
    about = f"Thick: median of {runs} runs; thin, and dots: each. A run that never got there has no dot."
    finish(figure, title="What learning waits for", about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": MARGIN, "l": 130})


def progress_curves(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Loss of the snapshots with the rest of the circuit given, beside the net as it is.

    Args:
        result: a `ProgressMeasures` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    loss = result.data["loss"].transpose("measure", "run", "step")
    names = [str(m) for m in loss["measure"].values]
    shown = {"none": "the net as it is", "previous_token": "previous token"}
    curves = [Curve(shown.get(m, m), loss.sel(measure=m).values, n) for n, m in enumerate(names)]
    figure, top = panels([""], heights=[300.0]), 1.05 * float(np.nanmax(loss.values))
    draw_curves(figure, loss["step"].values, curves, limits=(0.0, top))
    figure.update_yaxes(title="cross-entropy (nats)", range=[0, top])
    figure.update_xaxes(title="training step")
    about = f"Thick: median of {loss.sizes['run']} runs; thin: each. A curve that does not fall shows no progress."
    finish(figure, title="How far each part has come, the rest given", about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": MARGIN})


def forgetting_curves(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Structural, flipped-label and in-weights accuracy under each condition; a grey line where forgetting ended.

    Args:
        result: a `Forgetting` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    data = result.data
    which = data["condition"].values
    conditions = list(dict.fromkeys(map(str, which)))
    figure = panels([plain(c) for c in conditions], heights=[190.0] * len(conditions))
    for row, condition in enumerate(conditions, start=1):
        mine = data.isel(run=np.flatnonzero(which == condition))
        sets = [s for s in _SETS if s in data["test_set"].values]
        curves = [Curve(s.replace("_", " "), mine["accuracy"].sel(test_set=s).values, n) for n, s in enumerate(sets)]
        draw_curves(figure, data["step"].values, curves, row=row, limits=(-0.02, 1.02))
        for stopped in mine["stopped"].values[mine["stopped"].values >= 0]:
            figure.add_vline(x=int(stopped), line={"color": GREY, "dash": "dash", "width": 1}, row=row, col=1)  # type: ignore[arg-type]
        figure.update_yaxes(title="accuracy", range=[-0.02, 1.02], row=row, col=1)
    figure.update_xaxes(title="training step", row=len(conditions), col=1)
    about = (
        f"Thick: median of {len(which) // max(1, len(conditions))} runs; thin: each. Grey: a run's forgetting ended."
    )
    finish(figure, title="Forgetting, and what it leaves", about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": MARGIN})


def factor_curves(result: Any, *, theme: Theme = "light") -> go.Figure:
    """Loss of three factors learned together, and of fewer of them.

    Args:
        result: a `ThreeFactor` of `iclmech.dynamics`.
        theme: "light" or "dark".
    """
    loss = result.data["loss"]
    first = loss.isel(step=0).sel(condition="none").values[:, None]
    names = [str(c) for c in loss["condition"].values]
    curves = [
        Curve("none given" if c == "none" else f"{c} given", loss.sel(condition=c).values / first, n)
        for n, c in enumerate(names)
    ]
    figure = panels([""], heights=[300.0])
    draw_curves(figure, loss["step"].values, curves, limits=(0.0, 1.2))
    level_line(figure, 0.1, "a tenth")
    figure.update_yaxes(title="loss / first loss, none given", range=[0, 1.2])
    figure.update_xaxes(title="step of gradient descent")
    about = f"Thick: median of {loss.sizes['seed']} seeds; thin: each."
    finish(figure, title="Three factors learned together", about=about, theme=theme, legend_rows=0)
    return figure.update_layout(margin={"r": MARGIN})
