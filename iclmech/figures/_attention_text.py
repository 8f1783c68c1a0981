"""Attention over the tokens of a prompt, in three settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import ICLMechError, from_ascii_json

from ._frame import finish, note, panels
from ._names import setting_name
from ._text import plain
from ._theme import Theme

_MOST_HEADS = 64


def attention_text(
    result: Any,
    example: int = 0,
    *,
    heads: Sequence[tuple[int, int]] | None = None,
    columns: int = 8,
    theme: Theme = "light",
) -> go.Figure:
    """The words of a prompt in reading order, each shaded by the attention it gets from the compared position.

    One panel per setting (zero-shot, in context, after an update); a menu chooses layer and head. Hovering gives the whole
    token, its role in the prompt and its share. Read left to right, top to bottom, `columns` tokens to a line.

    Args:
        result: a `Comparison` with examples, or a dataset with `pattern` (example, setting, layer, head, token) and `meta`
            (example; ASCII JSON with tokens and roles).
        example: which one.
        heads: (layer, head) pairs in the menu; by default the 64 with the most attention on labels in context. The first is shown.
        columns: tokens in a line.
        theme: "light" or "dark".

    Raises:
        ICLMechError: there is no such example or head.
    """
    data = result if isinstance(result, xr.Dataset) else getattr(result, "examples", None)
    if not isinstance(data, xr.Dataset) or "pattern" not in data:
        raise ICLMechError("got a result without examples; expected one from compare(..., n_examples=1) or more.")
    if not 0 <= example < data.sizes["example"]:
        raise ICLMechError(f"got example={example}; expected 0 to {data.sizes['example'] - 1}.")
    meta = from_ascii_json(str(data["meta"].values[example]))
    pattern = np.asarray(data["pattern"].transpose("example", "setting", "layer", "head", "token").values[example])
    pattern = pattern[..., : len(meta["tokens"])]
    settings = [str(s) for s in data["setting"].values]
    chosen = _chosen(pattern, settings, meta["roles"], heads)
    grids = [_Grid(meta, ~np.isnan(pattern[s]).all(axis=(0, 1)), columns) for s in range(len(settings))]
    figure = panels(
        [setting_name(s) for s in settings], shared_x=False, heights=[24.0 * g.rows for g in grids], spacing=40
    )
    for row, grid in enumerate(grids, start=1):
        layer, head = chosen[0]
        figure.add_heatmap(
            z=grid.place(pattern[row - 1, layer, head]), text=grid.texts, customdata=grid.hover, texttemplate="%{text}",
            textfont={"size": 10}, coloraxis="coloraxis", hoverongaps=False, xgap=1, ygap=2,
            hovertemplate="%{customdata}: %{z:.1%}<extra></extra>", row=row, col=1,
        )  # fmt: skip
        if grid.rows == 0:
            note(figure, "no token", row)
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5])
    figure.update_yaxes(visible=False, autorange="reversed")
    bar = {"orientation": "h", "thickness": 10, "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom",
           "tickformat": ".0%", "nticks": 5, "outlinewidth": 0, "xpad": 0}  # fmt: skip
    figure.update_layout(coloraxis={"autocolorscale": True, "cmin": 0, "colorbar": bar})
    made = finish(figure, title="Attention over the prompt", about="Share of attention from the compared position.",
                  theme=theme, legend_rows=0, extra=20)  # fmt: skip
    made.update_layout(margin={"l": 12, "r": 12})
    return _with_menu(made, pattern, grids, chosen)


def _cut(token: str) -> str:
    """What fits a cell at 400 px: the beginning."""
    text = token.strip(" ") or token
    return text if len(text) <= 7 else f"{text[:6]}…"


class _Grid:
    """Tokens laid out in lines; those that a setting does not have are left out."""

    def __init__(self, meta: dict[str, Any], there: np.ndarray, columns: int) -> None:
        self.at = np.flatnonzero(there)
        self.columns = columns
        self.rows = -(-len(self.at) // columns)
        tokens, roles = meta["tokens"], meta["roles"]
        self.texts = self._fill([plain(_cut(str(tokens[i]))) for i in self.at], "")
        self.hover = self._fill([f"“{plain(tokens[i])}” ({plain(roles[i])})" for i in self.at], "")

    def _fill(self, values: Sequence[Any], empty: Any) -> list[list[Any]]:
        padded = [*values, *[empty] * (self.rows * self.columns - len(values))]
        return [padded[r * self.columns : (r + 1) * self.columns] for r in range(self.rows)]

    def place(self, weights: np.ndarray) -> np.ndarray:
        """Weights over tokens as a grid, rounded to what can be seen."""
        return np.round(np.array(self._fill(list(weights[self.at]), np.nan), dtype=np.float32), 4)


def _chosen(
    pattern: np.ndarray, settings: list[str], roles: list[str], heads: Sequence[tuple[int, int]] | None
) -> list[tuple[int, int]]:
    n_layers, n_heads = pattern.shape[1:3]
    if heads is not None:
        for layer, head in heads:
            if not (0 <= layer < n_layers and 0 <= head < n_heads):
                raise ICLMechError(
                    f"got L{layer}H{head}; this model has layers 0 to {n_layers - 1}, heads 0 to {n_heads - 1}."
                )
        if heads:
            return [(int(layer), int(head)) for layer, head in heads]
    labels = np.array([r == "label" for r in roles])
    at = settings.index("icl") if "icl" in settings else 0
    strength = np.nansum(np.where(labels, pattern[at], 0.0), axis=-1)
    order = np.argsort(-strength.ravel(), kind="stable")[:_MOST_HEADS]
    return [(int(i) // n_heads, int(i) % n_heads) for i in order]


def _with_menu(figure: go.Figure, pattern: np.ndarray, grids: list[_Grid], chosen: list[tuple[int, int]]) -> go.Figure:
    buttons = [
        {"label": f"L{layer}H{head}", "method": "restyle", "args": [{"z": [g.place(pattern[s, layer, head]) for s, g in enumerate(grids)]}]}
        for layer, head in chosen
    ]  # fmt: skip
    figure.update_layout(
        updatemenus=[{
            "buttons": buttons, "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom", "pad": {"b": 8}, "font": {"size": 12, "color": "#1b1f24"},
            "bgcolor": "#f3f6f9", "bordercolor": "#808080", "showactive": True,
        }]
    )  # fmt: skip
    return figure
