"""One number per head, as a map of layers and heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import ICLMechError

from . import _read as read
from ._frame import finish, panels
from ._names import comparison_name, measure_label, measure_name
from ._signed_map import BAR
from ._text import plain
from ._theme import GREY, ORANGE, Theme

_TEXT_UP_TO = 8  # heads: with more, numbers in cells cannot be read at 400 px


def head_map(
    result: Any,
    measure: str | None = None,
    *,
    comparisons: Sequence[str] | None = None,
    variant: str = "trained",
    lr: int = 0,
    mark: Sequence[tuple[int, int]] = (),
    theme: Theme = "light",
) -> go.Figure:
    """Layers down, heads across; hovering names the head, as in L3H5, and gives the value with its interval.

    Grey cells are masked: the shift of scores there has no length, so no direction. They are not zeros.

    Args:
        result: a `Comparison`; any result whose dataset holds `measure` with the axes layer and head, such as a `Circuit`;
            a DataArray of these two axes; or a table with the columns layer, head and `measure`, as `induction_heads` gives
            it (its columns low and high are the interval).
        measure: name of the variable; by default "sim_am", of an array its own name, of another dataset the only variable of
            layers and heads. Over seeds, the pooled mean is shown where there is one.
        comparisons: one panel for each; by default the updates. Ignored where the variable has no such axis.
        variant: "trained" or "untrained".
        lr: position on the learning-rate grid.
        mark: (layer, head) pairs to ring, such as the known induction heads.
        theme: "light" or "dark".

    Raises:
        ICLMechError: no such variable, comparison, variant or learning rate, or it has no layers and heads.
    """
    measure = measure or _own_name(result)
    data = _dataset(result, measure)
    name = f"{measure}_pooled" if f"{measure}_pooled" in data else measure
    read.need(data, (name,), "head_map")
    if not {"layer", "head"} <= set(data[name].dims):
        raise ICLMechError(
            f"got {name} with the axes {', '.join(map(str, data[name].dims))}; expected layer and head among them."
        )
    lr = read.check_lr(data, lr)
    wanted = _wanted(data, name, comparisons, variant)
    n_layers, n_heads = data.sizes["layer"], data.sizes["head"]
    height = float(np.clip(n_layers * 30, 90, 24 * 18 if n_layers > 16 else 360))
    figure = panels(
        [comparison_name(c, variant, read.roster(data)) if c else "" for c in wanted],
        shared_x=False,
        heights=[height] * len(wanted),
        spacing=76,
    )
    bands = [
        _band(data, name, lr, {"comparison": c, "variant": variant} if c else {"variant": variant}) for c in wanted
    ]
    masked = sum(_draw(figure, data, measure, band, row, mark) for row, band in enumerate(bands, start=1))
    figure.update_layout(coloraxis=_colours(_limit(bands), measure_label(measure)))
    figure.update_yaxes(title="layer", autorange="reversed", dtick=_tick(n_layers, 14), showgrid=False, zeroline=False)
    figure.update_xaxes(title="head", dtick=_tick(n_heads, 16), showgrid=False, zeroline=False)
    what = (
        f"{masked:,} of {n_layers * n_heads * len(wanted):,} cells are masked (grey): no shift, so no direction"
        if masked
        else "no cell masked"
    )
    named = f" Hovering shows the {read.interval(data)}." if f"{measure}_pooled_ci" in data else ""
    about = (
        f"Mean over queries and seeds; {what}.{named} {read.sample(data)}"
        if read.sample(data)
        else f"{what[0].upper()}{what[1:]}."
    )
    title = measure_label(measure)
    return finish(
        figure,
        title=f"{title[:1].upper()}{title[1:]} by head",
        about=about,
        theme=theme,
        legend_rows=0,
        extra=BAR,
    )


def _own_name(result: Any) -> str:
    """What is drawn where nobody says: an array keeps its name."""
    if isinstance(result, xr.DataArray):
        return str(result.name or "value")
    data = None if hasattr(result, "columns") else getattr(result, "means", getattr(result, "data", result))
    if not isinstance(data, xr.Dataset) or "sim_am" in data:
        return "sim_am"
    found = [str(n) for n, v in data.data_vars.items() if {"layer", "head"} == set(v.dims)]
    return found[0] if len(found) == 1 else "sim_am"


def _dataset(result: Any, measure: str) -> xr.Dataset:
    """Whatever holds a number per head, as a dataset with the variable `measure`."""
    if isinstance(result, xr.DataArray):
        return result.rename(measure).to_dataset()
    if not {"layer", "head", measure} <= set(getattr(result, "columns", ())):
        return read.dataset(result)
    table = result.set_index(["layer", "head"]).to_xarray()
    data = table[[measure]]
    if {"low", "high"} <= set(table):
        bounds = xr.concat([table["low"], table["high"]], dim="bound", coords="minimal", compat="override")
        data[f"{measure}_ci"] = bounds.transpose(..., "bound")
    return data


def _wanted(data: xr.Dataset, name: str, comparisons: Sequence[str] | None, variant: str) -> list[str]:
    for dim, asked in (("comparison", list(comparisons or ())), ("variant", [variant])):
        if dim in data[name].dims:
            for label in asked:
                if label not in read.labels(data, dim):
                    raise ICLMechError(
                        f"got the {dim} {label!r}; this result holds {', '.join(read.labels(data, dim))}."
                    )
    if "comparison" not in data[name].dims:
        return [""]
    known = read.labels(data, "comparison")
    return list(comparisons) if comparisons is not None else [u for u in read.updates(data) if u in known] or known[:1]


def _band(data: xr.Dataset, name: str, lr: int, at: dict[str, str]) -> read.Band:
    axes = ("layer", "head")
    base = data[[n for n in (name, f"{name}_ci") if n in data]]
    extra = [d for d in base[name].dims if d not in (*axes, "comparison", "variant", "lr")]
    band = read._band(base.mean(extra, skipna=True) if extra else base, name, lr, at)
    if band is None or band.mean.ndim != 2:
        raise ICLMechError(f"got {name} without a value for each layer and head; expected the axes layer and head.")
    return band


def _limit(bands: Sequence[read.Band]) -> tuple[float, float]:
    """The range of colours: symmetric around zero where a value is negative."""
    values = np.concatenate([b.mean.ravel() for b in bands]) if bands else np.array([])
    values = values[np.isfinite(values)]
    top = float(np.abs(values).max()) if values.size and np.abs(values).max() > 0 else 1.0
    return (-top, top) if values.size and values.min() < 0 else (0.0, top)


def _colours(limit: tuple[float, float], label: str) -> dict[str, Any]:
    """The scale with its name below it: the theme's purple to green around zero, which are no update's colours; else blue from zero."""
    bar = {"title": {"text": label, "side": "bottom", "font": {"size": 12}}, "orientation": "h", "thickness": 10, "len": 1, "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom",
           "ypad": 8, "xpad": 0, "outlinewidth": 0, "nticks": 6}  # fmt: skip
    return {
        "autocolorscale": True,
        "cmin": limit[0],
        "cmax": limit[1],
        "cmid": 0 if limit[0] < 0 else None,
        "colorbar": bar,
    }


def _draw(
    figure: go.Figure,
    data: xr.Dataset,
    measure: str,
    band: read.Band,
    row: int,
    mark: Sequence[tuple[int, int]],
) -> int:
    layers, heads = [int(v) for v in data["layer"].values], [int(v) for v in data["head"].values]
    hidden = np.isnan(band.mean)
    gap = 1 if len(heads) <= 32 else 0
    label = measure_name(measure)
    bounds = np.stack([band.low, band.high], axis=-1).astype(np.float32)
    between = "" if np.isnan(bounds).all() else " [%{customdata[0]:.3f}, %{customdata[1]:.3f}]"
    figure.add_heatmap(
        x=heads, y=layers, z=band.mean.astype(np.float32), customdata=bounds if between else None, coloraxis="coloraxis",
        hoverongaps=False, xgap=gap, ygap=gap, hovertemplate=f"<b>L%{{y}}H%{{x}}</b><br>{label}: %{{z:.3f}}{between}<extra></extra>", texttemplate="%{z:.2f}" if len(heads) <= _TEXT_UP_TO else None, name=plain(measure),
        row=row, col=1,
    )  # fmt: skip
    if hidden.any():
        figure.add_heatmap(
            x=heads, y=layers, z=np.where(hidden, np.float32(1), np.float32(np.nan)), colorscale=[[0, GREY], [1, GREY]], showscale=False,
            opacity=0.45, xgap=gap, ygap=gap, hoverongaps=False, name="masked",
            hovertemplate=f"<b>L%{{y}}H%{{x}}</b><br>{label}: masked<extra></extra>", row=row, col=1,
        )  # fmt: skip
    if mark:
        figure.add_scatter(
            x=[h for _, h in mark], y=[i for i, _ in mark], mode="markers", name="marked", showlegend=False, hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 16, "color": ORANGE, "line": {"width": 2.5}}, row=row, col=1,
        )  # fmt: skip
    return int(hidden.sum())


def _tick(n: int, at_most: int) -> int:
    step = 1
    while n / step > at_most:
        step *= 2
    return step
