"""Similarity of what an update does to what the context does, layer by layer, with every control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import REGISTRIES
from iclmech.experiments import control_title

from . import _read as read
from ._frame import finish, note, panels
from ._names import measure_label, measure_name, update_name, update_title
from ._text import plain
from ._theme import GREY, SKY, Theme, control_rank, control_style, translucent, update_colour


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
    line. Dashed: the same on the untrained model. Other lines: controls; the grey area ends at the closed-form null, the
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
    figure = panels([_panel_title(data, u, lr) for u in names] or [measure_name(measure)])
    wanted = None if controls is True else set(controls or ())
    shown: set[str] = set()
    for row, update in enumerate(names, start=1):
        _null(figure, data, measure, update, lr, row, wanted, shown)
        for key, comparison, variant in _lines(data, update):
            if key != update and wanted is not None and key not in wanted:
                continue
            band = _over_heads(data, measure, lr, comparison, variant)
            if band is not None and not band.empty:
                _draw(figure, data, key, comparison, variant, band, row, shown, names)
        if published and update in published:
            _overlay(figure, published[update], data.sizes.get("layer", 0), row, shown)
        if not any(getattr(t, "yaxis", None) in (f"y{row}", "y" if row == 1 else "") for t in figure.data):
            note(figure, "no values: every entry is masked or was not run", row)
        figure.update_yaxes(title=measure_label(measure), row=row, col=1)
    if not names:
        note(figure, "no update in this result")
    _same_range(figure, len(names))
    figure.update_xaxes(title="layer", row=max(len(names), 1), col=1)
    figure.update_xaxes(dtick=_tick(data.sizes.get("layer", 1)))
    traces: Any = figure.data
    gaps = any(np.isnan(np.asarray(t.y, dtype=float)).any() for t in traces if t.mode == "lines+markers")
    about = f"Mean and {read.interval(data)}. {read.sample(data)}{' Gaps are masked.' if gaps else ''}"
    figure.update_layout(hovermode="x unified" if len(shown) < 6 else "closest")
    return finish(
        figure,
        title=f"{measure_name(measure)} by layer",
        about=about,
        theme=theme,
        legend_rows=(2 * len(shown) + 2) // 3,
    )


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


def _title(key: str) -> str:
    """What a line is called in the legend."""
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


def _draw(
    figure: go.Figure, data: xr.Dataset, key: str, comparison: str, variant: str, band: read.Band, row: int,
    shown: set[str], names: Sequence[str],
) -> None:  # fmt: skip
    main = key == comparison and key in names
    colour, dash = (update_colour(key, names), "solid") if main else control_style(key)
    layers = data["layer"].values
    name = update_name(key) if main else _title(key)
    if not np.isnan(band.low).all():
        for x, low, high in _runs(layers, band):
            figure.add_scatter(
                x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=translucent(colour, 0.2 if main else 0.1),
                line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False, legendgroup=key, row=row, col=1,
            )  # fmt: skip
    half = [f"{m:.3f} [{lo:.3f}, {hi:.3f}]" if np.isfinite(lo) else f"{m:.3f}" for m, lo, hi in zip(*band, strict=True)]
    figure.add_scatter(
        x=layers, y=band.mean, name=name, legendgroup=key, showlegend=key not in shown, mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 3 if main else 1.6}, marker={"size": 6 if main else 3.5},
        legendrank=1 + names.index(key) if main else 50 + control_rank(key), customdata=half, hovertemplate=f"{name}<br>layer %{{x}}: %{{customdata}}<extra></extra>", connectgaps=False,
        row=row, col=1,
    )  # fmt: skip
    shown.add(key)


def _runs(layers: np.ndarray, band: read.Band) -> list[tuple[list, list, list]]:
    """Stretches of layers with an interval: a band has gaps where the line has them."""
    there = ~(np.isnan(band.low) | np.isnan(band.high))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(int), [0]])))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(list(layers[a:b]), list(band.low[a:b]), list(band.high[a:b])) for a, b in pairs]


def _null(
    figure: go.Figure,
    data: xr.Dataset,
    measure: str,
    update: str,
    lr: int,
    row: int,
    wanted: set[str] | None,
    shown: set[str],
) -> None:
    if measure != "sim_aou" or (wanted is not None and "null" not in wanted):
        return
    band = read.pooled(data, "null_closed_form", lr, comparison=update, variant="trained")
    if band is None or band.empty:
        return
    figure.add_scatter(
        x=data["layer"].values, y=band.mean, name="null of isotropic noise", legendgroup="null", showlegend="null" not in shown,
        mode="lines", legendrank=50 + control_rank("null"), line={"color": GREY, "width": 1}, fill="tozeroy", fillcolor=translucent(GREY, 0.14),
        hovertemplate="null of isotropic noise<br>layer %{x}: %{y:.3f}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    shown.add("null")


def _overlay(figure: go.Figure, values: Sequence[float], n_layers: int, row: int, shown: set[str]) -> None:
    y = np.asarray(values, dtype=float)
    x = np.arange(len(y)) * ((n_layers - 1) / max(len(y) - 1, 1)) if len(y) != n_layers else np.arange(n_layers)
    name = "published" if len(y) == n_layers else f"published ({len(y)} layers, by relative depth)"
    figure.add_scatter(
        x=x, y=y, name=name, legendgroup="published", showlegend="published" not in shown, mode="lines+markers",
        line={"color": SKY, "width": 1, "dash": "dot"}, marker={"symbol": "diamond-open", "size": 6},
        hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    shown.add("published")


def _same_range(figure: go.Figure, n: int) -> None:
    """The same y axis in every panel: bars of unlike axes cannot be compared."""
    if n > 1:
        figure.update_yaxes(matches="y")


def _tick(n_layers: int) -> int:
    return 1 if n_layers <= 12 else 2 if n_layers <= 24 else 4 if n_layers <= 48 else 8
