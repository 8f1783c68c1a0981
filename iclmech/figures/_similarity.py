"""Similarity of what an update does to what the context does, layer by layer, with every control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import REGISTRIES
from iclmech.experiments import control_title

from . import _read as read
from ._end_labels import end_labels
from ._frame import finish, note, panels
from ._names import measure_label, measure_name, update_name, update_title
from ._text import plain
from ._theme import GREY, PURPLE, SKY, Theme, control_style, translucent, update_colour

_HEIGHT = 230.0
NAMES = 132
"""Pixels right of the axes for names of 20 characters at 11 px."""


def similarity_by_layer(
    result: Any,
    measure: str = "sim_aou",
    *,
    lr: int = 0,
    controls: bool | Sequence[str] = True,
    published: Mapping[str, Sequence[float]] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """A measure over layers: one panel per update, with its controls, intervals and the null that is not zero.

    Thick line: the update on the trained model. Bands: intervals of the means, two-way over seeds and queries, of every
    line. Purple: the deciding control, from which the update differs least. Dashed: the same on the untrained model. Other
    lines: controls; every line bears its name at its right end; the grey area ends at the closed-form null, the
    value that isotropic noise of the measured size would give, which is no lower bound. Gaps: masked (a shift without length
    has no direction).

    Args:
        result: a `Comparison`, or its dataset.
        measure: any measure with a `layer` axis: "sim_aou", "sim_am" (averaged over heads), or the user's own.
        lr: position on the learning-rate grid.
        controls: all, none, or the names of those to draw ("untrained", "random_update", "icl:reordered", …).
        published: update → values per layer from elsewhere, drawn as thin lines of points over relative depth.
        theme: "light" or "dark".

    Raises:
        ICLMechError: the result has no such measure, or no such learning rate.
    """
    data = read.dataset(result)
    read.need(data, (f"{measure}_pooled",), "similarity_by_layer")
    lr = read.check_lr(data, lr)
    names = read.updates(data)
    titles = [_panel_title(data, u, lr) for u in names] or [measure_name(measure)]
    figure = panels(titles, heights=[_HEIGHT] * len(titles))
    wanted = None if controls is True else set(controls or ())
    ends: dict[int, list[tuple[float, str, str]]] = {}
    for row, update in enumerate(names, start=1):
        ends[row] = _null(figure, data, measure, update, lr, row, wanted)
        nearest = deciding(data, measure, update, lr)
        for key, comparison, variant in _lines(data, update):
            if key != update and wanted is not None and key not in wanted:
                continue
            band = _over_heads(data, measure, lr, comparison, variant)
            if band is not None and not band.empty:
                style = _style(key, key == comparison and key in names, key == nearest, names)
                ends[row] += _draw(figure, data, style, band, row)
        if published and update in published:
            ends[row] += _overlay(figure, published[update], data.sizes.get("layer", 0), row)
        if not any(getattr(t, "yaxis", None) in (f"y{row}", "y" if row == 1 else "") for t in figure.data):
            note(figure, "no values: every entry is masked or was not run", row)
        figure.update_yaxes(title=measure_label(measure), row=row, col=1)
    if not names:
        note(figure, "no update in this result")
    span = _span(figure)
    figure.update_yaxes(range=span)
    for row, found in ends.items():
        end_labels(figure, found, row=row, span=span, height=_HEIGHT)
    figure.update_xaxes(title="layer", row=max(len(names), 1), col=1)
    figure.update_xaxes(tick0=0, dtick=layer_tick(data.sizes.get("layer", 1)))
    traces: Any = figure.data
    gaps = any(np.isnan(np.asarray(t.y, dtype=float)).any() for t in traces if t.mode == "lines+markers")
    about = f"Mean and {read.interval(data)}. {read.sample(data)}{' Gaps are masked.' if gaps else ''}"
    made = finish(figure, title=f"{measure_name(measure)} by layer", about=about, theme=theme, legend_rows=0)
    return made.update_layout(showlegend=False, hovermode="closest", margin={"r": NAMES})


def _panel_title(data: xr.Dataset, update: str, lr: int) -> str:
    rate = read.lr_value(data, update, lr)
    return update_title(update) + (f", rate {read.significant(rate)}" if np.isfinite(rate) else "")


def _lines(data: xr.Dataset, update: str) -> list[tuple[str, str, str]]:
    """(update or control, comparison, variant) in the order of drawing: controls first, the update itself on top."""
    entries = read.roster(data).comparisons.values()
    out = [(e.control, e.name, "trained") for e in entries if e.update == update and e.control]
    out += [
        (e.control, e.name, "trained") for e in entries if not e.update and e.name in read.labels(data, "comparison")
    ]
    out += [(v, update, v) for v in read.variants(data) if v != "trained"]
    return [*out, (update, update, "trained")]


def control_name(key: str) -> str:
    """What the line of a control is called."""
    known = REGISTRIES["control"]
    return plain((known[key].legend if key in known else "") or control_title(key))


def _over_heads(data: xr.Dataset, measure: str, lr: int, comparison: str, variant: str) -> read.Band | None:
    """Over layers; a measure per head has its mean over heads in `<measure>_by_layer_pooled`, or else without interval."""
    for name in (f"{measure}_by_layer", measure):
        band = read.pooled(data, name, lr, comparison=comparison, variant=variant)
        if band is None:
            continue
        if band.mean.ndim <= 1:
            return band
        present = ~np.isnan(band.mean)
        mean = np.where(present, band.mean, 0).sum(-1) / np.maximum(present.sum(-1), 1)
        mean = np.where(present.any(-1), mean, np.nan)
        return read.Band(mean, np.full(mean.shape, np.nan), np.full(mean.shape, np.nan))
    return None


class _Style(NamedTuple):
    key: str
    name: str
    colour: str
    dash: str
    width: float
    main: bool


def _style(key: str, main: bool, is_deciding: bool, names: Sequence[str]) -> _Style:
    if main:
        return _Style(key, update_name(key), update_colour(key, names), "solid", 3, True)
    colour, dash = control_style(key)
    name = control_name(key)
    return _Style(key, name, PURPLE, dash, 2.4, False) if is_deciding else _Style(key, name, colour, dash, 1.6, False)


def deciding(data: xr.Dataset, measure: str, update: str, lr: int) -> str:
    """The control, of those that sentences speak of, from which the update differs least; empty where there are no paired differences."""
    if f"{measure}_contrast" not in data:
        return ""
    held = read.labels(data, "contrast")
    mine = [c for c in read.roster(data).contrasts.values() if c.update == update and c.name in held]
    found = {
        c.control: read.pooled_at(data, f"{measure}_contrast", lr, contrast=c.name)
        for c in mine
        if c.left.variant == "trained" and getattr(REGISTRIES["control"].get(c.control), "phrase", "")
    }
    finite = {control: value for control, value in found.items() if np.isfinite(value)}
    return min(finite, key=lambda control: finite[control]) if finite else ""


def _draw(
    figure: go.Figure, data: xr.Dataset, style: _Style, band: read.Band, row: int
) -> list[tuple[float, str, str]]:  # fmt: skip
    """The band and the line; its end with its name."""
    layers = data["layer"].values
    if not np.isnan(band.low).all():
        for x, low, high in _runs(layers, band):
            figure.add_scatter(
                x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines", hoverinfo="skip", line={"width": 0}, legendgroup=style.key,
                fillcolor=translucent(style.colour, 0.2 if style.width > 2 else 0.1), row=row, col=1,
            )  # fmt: skip
    said = [f"{m:.3f} [{lo:.3f}, {hi:.3f}]" if np.isfinite(lo) else f"{m:.3f}" for m, lo, hi in zip(*band, strict=True)]
    figure.add_scatter(
        x=layers, y=band.mean, name=style.name, legendgroup=style.key, mode="lines+markers", connectgaps=False, customdata=said,
        line={"color": style.colour, "dash": style.dash, "width": style.width}, marker={"size": 6 if style.main else 3.5},
        hovertemplate=f"{style.name}<br>layer %{{x}}: %{{customdata}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    finite = band.mean[np.isfinite(band.mean)]
    return [(float(finite[-1]), f"<b>{style.name}</b>" if style.width > 2 else style.name, style.colour)]


def _runs(layers: np.ndarray, band: read.Band) -> list[tuple[list, list, list]]:
    """Stretches of layers with an interval: a band has gaps where the line has them."""
    there = ~(np.isnan(band.low) | np.isnan(band.high))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(int), [0]])))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(list(layers[a:b]), list(band.low[a:b]), list(band.high[a:b])) for a, b in pairs]


def _null(
    figure: go.Figure, data: xr.Dataset, measure: str, update: str, lr: int, row: int, wanted: set[str] | None
) -> list[tuple[float, str, str]]:  # fmt: skip
    if measure != "sim_aou" or (wanted is not None and "null" not in wanted):
        return []
    band = read.pooled(data, "null_closed_form", lr, comparison=update, variant="trained")
    if band is None or band.empty:
        return []
    figure.add_scatter(
        x=data["layer"].values, y=band.mean, name="null of isotropic noise", mode="lines", line={"color": GREY, "width": 1},
        fill="tozeroy", fillcolor=translucent(GREY, 0.14),
        hovertemplate="null of isotropic noise<br>layer %{x}: %{y:.3f}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    return [(float(band.mean[np.isfinite(band.mean)][-1]), "isotropic null", GREY)]


def _overlay(
    figure: go.Figure, values: Sequence[float], n_layers: int, row: int
) -> list[tuple[float, str, str]]:  # fmt: skip
    y = np.asarray(values, dtype=float)
    x = np.arange(len(y)) * ((n_layers - 1) / max(len(y) - 1, 1)) if len(y) != n_layers else np.arange(n_layers)
    name = "published" if len(y) == n_layers else f"published ({len(y)} layers, by relative depth)"
    figure.add_scatter(
        x=x, y=y, name=name, mode="lines+markers",
        line={"color": SKY, "width": 1, "dash": "dot"}, marker={"symbol": "diamond-open", "size": 6},
        hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    return [(float(y[np.isfinite(y)][-1]), "published", SKY)] if np.isfinite(y).any() else []


def _span(figure: go.Figure) -> tuple[float, float]:
    """One range for every panel, around zero and all that is drawn: unlike axes cannot be compared."""
    traces: Any = figure.data
    values = np.concatenate([np.asarray(t.y, dtype=float) for t in traces] or [np.array([])])
    values = values[np.isfinite(values)]
    low, high = (min(0.0, values.min()), max(0.0, values.max())) if values.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def layer_tick(n_layers: int) -> int:
    """Whole layers, few enough to be read."""
    return 1 if n_layers <= 12 else 2 if n_layers <= 24 else 4 if n_layers <= 48 else 8
