"""Accuracy in every setting: whether the context, and the update, taught anything at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech.experiments import Entry

from . import _read as read
from ._frame import finish, note, panels
from ._names import measure_name, measure_unit, setting_name
from ._similarity import control_name
from ._text import shortened
from ._theme import GREY, PURPLE, SETTING_COLOURS, Theme, update_colour


def accuracy_by_setting(
    result: Any, measure: str = "accuracy", *, lr: int = 0, chance: float | int | None = None, theme: Theme = "light"
) -> go.Figure:
    """One line per setting: the mean with its interval for the trained (filled) and the untrained model (open).

    Small grey dots are single seeds; open diamonds, where it was asked for, the trained model after calibration. Dashed: the best constant answer. Dotted: zero-shot and ICL of the trained model, to
    read gains from.

    Args:
        result: a `Comparison`, or its dataset.
        measure: any measure of one setting: "accuracy", "label_nll".
        lr: position on the learning-rate grid.
        chance: accuracy that takes no learning; by default that of the best constant answer.
        theme: "light" or "dark".

    Raises:
        ICLMechError: the result has no such measure or learning rate.
    """
    data = read.dataset(result)
    read.need(data, (f"{measure}_overall",), "accuracy_by_setting")
    lr = read.check_lr(data, lr)
    settings = [s for s in read.labels(data, "setting") if _known(data, measure, lr, s)]
    roster = read.roster(data)
    entries = {s: roster.settings.get(s, Entry(s)) for s in settings}
    ordered = sorted(settings, key=lambda s: _rank(entries[s]))
    figure = panels([""], heights=[max(120, 34 * len(ordered) + 20)])
    where = {s: len(ordered) - 1 - i for i, s in enumerate(ordered)}
    for variant in read.variants(data)[::-1]:
        _draw(figure, data, measure, lr, variant, where)
    if measure == "accuracy":
        _calibrated(figure, data, lr, where)
    if not ordered:
        note(figure, "no setting with a value in this result")
    figure.update_yaxes(
        tickvals=list(where.values()), ticktext=[_tick_text(entries[s], setting_name(s, roster)) for s in where], range=[-0.6, len(ordered) - 0.4],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    unit = measure_unit(measure)
    figure.update_xaxes(title=f"{measure_name(measure)} ({unit})" if unit else measure_name(measure))
    if measure == "accuracy":
        _references(figure, data, lr, chance)
    name = measure_name(measure)
    about = f"Mean and {read.interval(data)}; small dots are seeds. {read.sample(data)}"
    return finish(figure, title=f"{name[:1].upper()}{name[1:]} by setting", about=about, theme=theme, legend_rows=2)


def _references(figure: go.Figure, data: xr.Dataset, lr: int, chance: float | int | None) -> None:
    """Lines at the best constant answer, zero-shot and ICL; the axis from below the least of what is drawn, within 0 to 1."""
    level, called = (chance, "chance") if chance is not None else read.chance(data)
    lines = [(float(level), called, GREY, "dash")]
    for setting in ("zs", "icl"):
        band = read.overall(data, "accuracy", lr, setting=setting, variant="trained")
        if band is not None and not band.empty:
            lines.append((float(band.mean), "", setting_colour(Entry(setting), ()), "dot"))
    for x, text, colour, dash in lines:
        if np.isfinite(x):
            label = {
                "text": text,
                "font": {"size": 11, "color": colour},
                "yanchor": "bottom",
                "y": 1,
                "xanchor": "center",
            }
            named: Any = {"annotation": label} if text else {}
            figure.add_vline(x=x, line={"color": colour, "dash": dash, "width": 1}, layer="below", **named)
    least = [float(x) for x, *_ in lines if np.isfinite(x)]
    traces: Any = figure.data
    for trace in traces:
        x = np.asarray(trace.x, dtype=float)
        below = getattr(trace.error_x, "arrayminus", None)
        least += [
            float(v)
            for v in np.ravel(x if below is None else x - np.nan_to_num(np.asarray(below, dtype=float)))
            if np.isfinite(v)
        ]
    start = max(0.0, np.floor(10 * min(least, default=0.0)) / 10)
    figure.update_xaxes(range=[start - 0.02, 1.02])


def _calibrated(figure: go.Figure, data: xr.Dataset, lr: int, where: dict[str, int]) -> None:
    """Accuracy after calibration, just below each setting of the trained model."""
    found = {s: read.overall(data, "accuracy_calibrated", lr, setting=s, variant="trained") for s in where}
    drawn = {s: band for s, band in found.items() if band is not None and not band.empty}
    if not drawn:
        return
    mean, low, high = (np.array([float(getattr(b, part)) for b in drawn.values()]) for part in ("mean", "low", "high"))
    figure.add_scatter(
        x=mean, y=[where[s] + 0.26 for s in drawn], mode="markers", name="trained, calibrated", legendrank=3,
        marker={"symbol": "diamond-open", "size": 8, "color": PURPLE, "line": {"width": 1.5, "color": PURPLE}},
        error_x={"type": "data", "array": high - mean, "arrayminus": mean - low, "thickness": 1, "width": 3, "color": PURPLE},
        hovertemplate="calibrated: %{x:.3f}<extra></extra>",
    )  # fmt: skip


def _known(data: xr.Dataset, measure: str, lr: int, setting: str) -> bool:
    bands = [read.overall(data, measure, lr, setting=setting, variant=v) for v in read.variants(data)]
    return any(b is not None and not b.empty for b in bands)


def _tick_text(entry: Entry, name: str) -> str:
    """In two lines where it is long: "after GD," and "random weights", the short name of the control."""
    head, comma, rest = name.partition(", ")
    if entry.tuned and entry.control:
        rest = control_name(entry.control)
    return (
        f"{shortened(head, 22)},<br>{shortened(rest, 22)}"
        if comma and len(head + rest) > 18
        else shortened(head + comma + rest, 24)
    )


def _rank(entry: Entry) -> int:
    """zs, icl, the updates, then contexts and the controls of each."""
    if entry.control:
        return 12 if entry.tuned else 11
    return 2 if entry.tuned else {"zs": 0, "icl": 1}.get(entry.name, 3)


def setting_colour(setting: Entry, updates: Sequence[str]) -> str:
    """The colour of the update behind a setting, or the setting's own."""
    return (
        update_colour(setting.update, updates)
        if setting.tuned
        else SETTING_COLOURS.get(setting.name.partition(":")[0], GREY)
    )


def _draw(figure: go.Figure, data: xr.Dataset, measure: str, lr: int, variant: str, where: dict[str, int]) -> None:
    trained, roster = variant == "trained", read.roster(data)
    shift = 0.0 if trained else -0.26
    xs, ys, low, high, colours, texts, seeds = [], [], [], [], [], [], []
    for setting, y in where.items():
        band = read.overall(data, measure, lr, setting=setting, variant=variant)
        if band is None or band.empty:
            continue
        m, lo, hi = (float(v) for v in band)
        xs.append(m)
        ys.append(y + shift)
        low.append(m - lo)
        high.append(hi - m)
        colours.append(setting_colour(roster.settings.get(setting, Entry(setting)), read.updates(data)))
        interval = f" [{lo:.3f}, {hi:.3f}]<br>{read.interval(data)}" if np.isfinite(lo) else ""
        texts.append(f"{setting_name(setting, roster)}, {variant} model: {m:.3f}{interval}")
        seeds += [
            (v, y + shift) for v in read.by_seed(data, measure, lr, setting=setting, variant=variant) if np.isfinite(v)
        ]
    if not xs:
        return
    figure.add_scatter(
        x=[s[0] for s in seeds], y=[s[1] for s in seeds], mode="markers", marker={"size": 4, "color": GREY, "opacity": 0.6},
        hovertemplate="one seed: %{x:.3f}<extra></extra>", showlegend=False, legendgroup=variant,
    )  # fmt: skip
    figure.add_scatter(
        x=xs, y=ys, mode="markers", name=f"{variant} model", legendgroup=variant, legendrank=1 if trained else 2, customdata=texts,
        marker={"size": 11 if trained else 9, "color": colours, "symbol": "circle" if trained else "circle-open", "line": {"width": 2, "color": colours}},
        error_x={"type": "data", "array": high, "arrayminus": low, "thickness": 1.5, "width": 4, "color": GREY},
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
