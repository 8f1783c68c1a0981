"""Similarity against displacement: equal rates are not equal steps, and the null grows with the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from . import _read as read
from ._frame import finish, note, panels
from ._names import measure_label, measure_name, update_name, update_title
from ._similarity import control_name, deciding
from ._theme import GREY, PURPLE, Theme, control_style, translucent, update_colour


def similarity_by_displacement(result: Any, measure: str = "sim_aou", *, theme: Theme = "light") -> go.Figure:
    """How alike, over how far the states have moved: one panel per update, its controls and variants, all learning rates.

    Purple: the deciding control, as in `similarity_by_layer`. Each point is a mean over layers, seeds and queries at one rate; bars are its interval. The grey curve is the closed-form
    null of a displacement without a preferred direction, ½·√(d_icl·d) with d = 1 − cos(h, h_zs), at the d_icl that the
    measured nulls imply: no lower bound, but what size alone gives. Compare points at the same displacement only.

    Args:
        result: a `Comparison` with the measure "displacement", or its dataset.
        measure: what is drawn upwards.
        theme: "light" or "dark".

    Raises:
        ICLMechError: the result holds no such measure, or no displacements.
    """
    data = read.dataset(result)
    read.need(data, (f"{measure}_overall", "displacement_overall"), "similarity_by_displacement")
    updates = read.updates(data)
    figure = panels([update_title(u) for u in updates] or [""], shared_x=False, spacing=56)
    shown: set[str] = set()
    for row, update in enumerate(updates, start=1):
        drawn = [
            _line(figure, data, measure, update, name, variant, row, shown) for name, variant in _lines(data, update)
        ]
        _null(figure, data, update, max((d for d in drawn if np.isfinite(d)), default=np.nan), row, shown)
        if not np.isfinite(drawn).any():
            note(figure, "no values: every entry is masked or was not run", row)
        figure.update_yaxes(title=measure_label(measure), row=row, col=1)
    if not updates:
        note(figure, "no update in this result")
    figure.update_yaxes(matches="y")
    figure.update_xaxes(matches="x", rangemode="tozero")
    figure.update_xaxes(title="displacement of the attention outputs, 1 − cosine", row=max(len(updates), 1), col=1)
    about = f"Means over layers; bars: {read.interval(data)}. {read.sample(data)}"
    title = f"{measure_name(measure)} by displacement"
    return finish(figure, title=title, about=about, theme=theme, legend_rows=(2 * len(shown) + 2) // 3)


def _lines(data: xr.Dataset, update: str) -> list[tuple[str, str]]:
    """(comparison, variant): the update's controls, other contexts, the update on every variant."""
    held = read.labels(data, "comparison")
    found = [e for e in read.roster(data).comparisons.values() if e.control and e.name in held]
    entries = [e.name for e in found if e.update in (update, "")]
    return [*((name, "trained") for name in entries), *((update, v) for v in read.variants(data)[::-1])]


def _line(
    figure: go.Figure, data: xr.Dataset, measure: str, update: str, comparison: str, variant: str, row: int, shown: set[str]
) -> float:  # fmt: skip
    """Draw one line over the rates; return how far it reaches, NaN where there is nothing."""
    at = {"comparison": comparison, "variant": variant}
    rates = range(data.sizes.get("lr", 1))
    bands = [read.overall(data, measure, i, **at) for i in rates]
    moved = [read.overall(data, "displacement", i, **at) for i in rates]
    points = [
        (float(d.mean), *(float(v) for v in b), i)
        for i, (b, d) in enumerate(zip(bands, moved, strict=True))
        if b is not None and d is not None and np.isfinite(b.mean) and np.isfinite(d.mean)
    ]
    if not points:
        return float("nan")
    x, y, low, high, position = (np.array(column) for column in zip(*sorted(points), strict=True))
    main = comparison == update and variant == "trained"
    entry = read.roster(data).comparisons[comparison]
    key = variant if comparison == update else entry.control
    colour, dash = (update_colour(update, read.updates(data)), "solid") if main else control_style(key)
    name = update_name(update) if main else control_name(key)
    if not main and key == deciding(data, measure, update, 0):
        colour = PURPLE
    interval = [f" [{a:.3f}, {b:.3f}]" if np.isfinite(a) else "" for a, b in zip(low, high, strict=True)]
    said = [
        f"{read.significant(read.lr_value(data, update, int(i)))}: {v:.3f}{text}"
        for i, v, text in zip(position, y, interval, strict=True)
    ]
    figure.add_scatter(
        x=x, y=y, name=name, legendgroup=name, showlegend=name not in shown, mode="lines+markers", legendrank=1 if main else 50,
        line={"color": colour, "dash": dash, "width": 3 if main else 1.6}, marker={"size": 9 if main else 7, "color": colour},
        error_y={"type": "data", "array": high - y, "arrayminus": y - low, "thickness": 1, "width": 3},
        customdata=said, hovertemplate=f"{name}<br>displacement %{{x:.3f}}, rate %{{customdata}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    shown.add(name)
    return float(x.max())


def _null(figure: go.Figure, data: xr.Dataset, update: str, reach: float, row: int, shown: set[str]) -> None:
    """½·√(d_icl·d) as a curve, d_icl from the nulls of the update on the trained model."""
    at = {"comparison": update, "variant": "trained"}
    pairs = []
    for i in range(data.sizes.get("lr", 1)):
        moved, null = (read.overall(data, name, i, **at) for name in ("displacement", "null_closed_form"))
        if moved is not None and null is not None and float(moved.mean) > 0 and np.isfinite(null.mean):
            pairs.append((float(moved.mean), float(null.mean)))
    if not pairs or not np.isfinite(reach):
        return
    d, null = np.array(pairs).T
    scale = (null * np.sqrt(d)).sum() / d.sum()  # least squares of null = scale · √d
    x = np.linspace(0, reach, 60)
    name = "null of isotropic noise"
    figure.add_scatter(
        x=x, y=scale * np.sqrt(x), name=name, legendgroup="null", showlegend="null" not in shown, mode="lines",
        line={"color": GREY, "width": 1, "simplify": False}, fill="tozeroy", fillcolor=translucent(GREY, 0.14),
        hovertemplate=f"{name} at displacement %{{x:.3f}}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    shown.add("null")
