"""The numbers of a sweep over its axes: a curve for each setting or comparison, a small panel for each of the other values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._frame import finish, note
from ._names import comparison_name, measure_name, measure_unit, setting_name
from ._text import plain, shortened
from ._theme import DASHES, LABEL_COLOURS, Theme, translucent

if TYPE_CHECKING:
    from iclmech._base import Result

_NUMBERS = ("mean", "low", "high")
_BESIDE = {
    *_NUMBERS,
    "measure",
    "seed_sd",
    "seed_low",
    "seed_high",
    "n_seeds",
    "masked",
    "p",
    "claims",
    "interval",
    "note",
    "lr_value",
}
_MEASURES, _LINES, _PANELS = 3, 7, 12


def over_axes(result: Result, *, theme: Theme = "light") -> dict[str, go.Figure]:
    """Each of the first measures over every axis of a sweep that has more than one value.

    Args:
        result: a sweep: its `summary()` has a column for each axis.
        theme: "light" or "dark".

    Returns:
        "<measure>_over_<axis>" → figure; empty while no cell is done.
    """
    table: Any = result.summary()
    axes = _axes(result)
    if not len(table) or not {"measure", *_NUMBERS} <= set(table.columns):
        return {}
    measures = list(dict.fromkeys(table["measure"]))[:_MEASURES]
    return {
        f"{measure}_over_{axis}": _figure(table[table["measure"] == measure], str(measure), axis, axes, theme)
        for measure in measures
        for axis in axes
        if table[axis].nunique() > 1
    }


def _axes(result: Result) -> list[str]:
    """The first field of every axis."""
    return [str(name).split(", ")[0] for name in result.provenance["axes"]]


def _figure(table: Any, measure: str, axis: str, axes: Sequence[str], theme: Theme) -> go.Figure:
    others = [a for a in axes if a != axis and table[a].nunique() > 1]
    kept = _usual(table, {*axes, *_BESIDE})
    keys = [str(c) for c in kept.columns if c not in {*axes, *_BESIDE} and kept[c].nunique(dropna=False) > 1]
    lines = list(dict.fromkeys(map(tuple, kept[keys].astype(str).values.tolist())))[:_LINES] if keys else [()]
    values = list(itertools.product(*(list(dict.fromkeys(table[a])) for a in others)))
    figure = _grid(
        [
            ", ".join(f"{plain(shortened(a))} {plain(shortened(str(v), 24))}" for a, v in zip(others, at, strict=True))
            for at in values[:_PANELS]
        ]
    )
    columns = 2 if len(values) > 1 else 1
    numeric = all(isinstance(v, int | float) for v in table[axis])
    for number, at in enumerate(values[:_PANELS]):
        where = {"row": number // columns + 1, "col": number % columns + 1}
        rows = kept
        for a, v in zip(others, at, strict=True):
            rows = rows[rows[a] == v]
        for n, line in enumerate(lines):
            _curve(figure, _of_line(rows, keys, line), axis, measure, line, n, where, first=not number)
        if not len(rows):
            note(figure, "not run", number + 1)
    _ticks(figure, sorted(set(table[axis])) if numeric else list(dict.fromkeys(table[axis])), axis, measure, numeric)
    left = f" {len(values) - _PANELS} more panels in .summary()." if len(values) > _PANELS else ""
    about = f"Mean and interval of each cell.{left}"
    title = f"{measure_name(measure)} over {plain(axis.replace('_', ' '))}"
    return finish(figure, title=title, about=about, theme=theme, legend_rows=len(lines))


def _usual(table: Any, beside: set[str]) -> Any:
    """Where a table has differences of pairs and other models as well: settings and comparisons on the model itself."""
    if "variant" in table and (table["variant"] == "trained").any():
        table = table[table["variant"] == "trained"]
    if "kind" in table and table["kind"].isin(["setting", "comparison"]).any():
        table = table[table["kind"].isin(["setting", "comparison"])]
    return table


def _of_line(rows: Any, keys: Sequence[str], line: tuple[str, ...]) -> Any:
    for key, value in zip(keys, line, strict=True):
        rows = rows[rows[key].astype(str) == value]
    return rows


def _curve(
    figure: go.Figure,
    rows: Any,
    axis: str,
    measure: str,
    line: tuple[str, ...],
    n: int,
    where: dict[str, int],
    *,
    first: bool,
) -> None:
    """A line with its interval at every point."""
    name = ", ".join(_named(part) for part in line) or measure_name(measure)
    colour, dash = LABEL_COLOURS[n % len(LABEL_COLOURS)], DASHES[n // len(LABEL_COLOURS) % len(DASHES)]
    rows = rows.drop_duplicates(axis)
    numeric = all(isinstance(v, int | float) for v in rows[axis])
    x = list(rows[axis]) if numeric else [plain(str(v)) for v in rows[axis]]
    bars = {"type": "data", "array": list(rows["high"] - rows["mean"]), "arrayminus": list(rows["mean"] - rows["low"]),
            "color": translucent(colour, 0.6), "thickness": 1.4, "width": 3}  # fmt: skip
    figure.add_scatter(
        x=x, y=list(rows["mean"]), error_y=bars, mode="lines+markers" if numeric else "markers", name=name, legendgroup=name, showlegend=first,
        line={"color": colour, "width": 2, "dash": dash}, marker={"size": 6, "color": colour},
        hovertemplate=f"{name}<br>{plain(axis)} %{{x}}: %{{y:.3f}}<extra></extra>", **where,
    )  # fmt: skip


def _named(part: str) -> str:
    if part in ("zs", "icl") or part.startswith("ft:"):
        return setting_name(part)
    try:
        return comparison_name(part)
    except (KeyError, ValueError):
        return plain(part)


def _grid(titles: Sequence[str]) -> go.Figure:
    """Panels in two columns; one alone takes the width."""
    columns = 2 if len(titles) > 1 else 1
    rows = math.ceil(len(titles) / columns)
    total = 200.0 * rows + 56 * (rows - 1) if columns > 1 else 280.0
    figure = make_subplots(
        rows=rows, cols=columns, shared_yaxes=columns > 1, horizontal_spacing=0.06, vertical_spacing=56 / total if rows > 1 else 0.0,
        subplot_titles=[f"<b>{t}</b>" if t else "" for t in titles],
    )  # fmt: skip
    figure.update_annotations(font={"size": 12})
    figure.update_layout(meta={"plot_height": total})
    return figure


def _ticks(figure: go.Figure, values: Sequence[Any], axis: str, measure: str, numeric: bool) -> None:
    unit = measure_unit(measure)
    figure.update_yaxes(title=f"{measure_name(measure)} ({unit})" if unit else measure_name(measure), col=1)
    figure.update_xaxes(title=plain(axis.replace("_", " ")))
    if numeric and min(values) > 0 and max(values) / min(values) >= 8:
        figure.update_xaxes(type="log", tickvals=list(values), ticktext=[f"{v:g}" for v in values])
    elif not numeric:
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=[plain(str(v)) for v in values])
