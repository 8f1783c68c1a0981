"""Attention over the tokens of a prompt, in three settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from iclmech._base import ICLMechError, from_ascii_json, visible

from ._frame import finish, note, panels
from ._names import setting_name
from ._text import plain, shortened
from ._theme import Theme

_MOST_HEADS = 64
_LINE = 19  # pixels
_MONO = "'DejaVu Sans Mono', Consolas, Menlo, monospace"  # 6 px a character at 10 px, so that widths are known


def attention_text(
    result: Any,
    example: int = 0,
    *,
    heads: Sequence[tuple[int, int]] | None = None,
    characters: int = 58,
    theme: Theme = "light",
) -> go.Figure:
    """The words of a prompt in reading order, each shaded by the attention it gets from the compared position.

    One panel per setting (zero-shot, in context, after an update); a menu chooses layer and head. Hovering gives the whole
    token, its role in the prompt and its share. The text flows as on a page; all panels have one scale of colours.

    Args:
        result: a `Comparison` with examples, or a dataset with `pattern` (example, setting, layer, head, token) and `meta`
            (example; ASCII JSON with tokens and roles).
        example: which one.
        heads: (layer, head) pairs in the menu; by default the 64 with the most attention on labels in context. The first is shown.
        characters: in a line; 58 fit 400 px. A longer token is cut.
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
    flows = [_Flow(meta, ~np.isnan(pattern[s]).all(axis=(0, 1)), characters) for s in range(len(settings))]
    figure = panels(
        [setting_name(s) for s in settings],
        shared_x=False,
        heights=[float(_LINE * max(1, f.lines)) for f in flows],
        spacing=40,
    )
    for row, flow in enumerate(flows, start=1):
        layer, head = chosen[0]
        figure.add_bar(
            base=flow.start, x=flow.width, y=flow.line, orientation="h", width=0.86, text=flow.texts, customdata=flow.hover,
            textposition="inside", insidetextanchor="middle", constraintext="none", textangle=0, textfont={"size": 10, "family": _MONO},
            marker={"color": flow.shares(pattern[row - 1, layer, head]), "coloraxis": "coloraxis", "line": {"width": 0}},
            hovertemplate="%{customdata}: %{marker.color:.1%}<extra></extra>", showlegend=False, row=row, col=1,
        )  # fmt: skip
        figure.update_yaxes(range=[flow.lines - 0.5, -0.5], row=row, col=1)
        if not flow.lines:
            note(figure, "no token", row)
    figure.update_xaxes(visible=False, range=[0, characters])
    figure.update_yaxes(visible=False)
    bar = {"orientation": "h", "thickness": 10, "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom",
           "tickformat": ".0%", "nticks": 5, "outlinewidth": 0, "xpad": 0}  # fmt: skip
    top = max(0.02, float(np.nanmax([np.nanmax(pattern[:, layer, head]) for layer, head in chosen[:1]])))
    figure.update_layout(barmode="overlay", coloraxis={"autocolorscale": True, "cmin": 0, "cmax": top, "colorbar": bar})
    made = finish(figure, title="Attention over the prompt", about="Share of attention from the compared position.",
                  theme=theme, legend_rows=0, extra=20)  # fmt: skip
    made.update_layout(margin={"l": 12, "r": 12})
    return _with_menu(made, pattern, flows, chosen)


class _Flow:
    """Tokens set as running text; those that a setting does not have are left out."""

    def __init__(self, meta: dict[str, Any], there: np.ndarray, characters: int) -> None:
        self.at = np.flatnonzero(there)
        tokens, roles = meta["tokens"], meta["roles"]
        self.start: list[float] = []
        self.width: list[float] = []
        self.line: list[int] = []
        shown = [shortened(str(tokens[i]).strip(" ") or " ", characters - 1) for i in self.at]
        column = line = 0
        for token, text in zip((str(tokens[i]) for i in self.at), shown, strict=True):
            wide, space = len(visible(text)) + 0.5, int(token.startswith(" ") and column > 0)
            if column + space + wide > characters:
                column, line, space = 0, line + 1, 0
            self.start.append(column + space)
            self.width.append(wide)
            self.line.append(line)
            column = 0 if "\n" in token else column + space + wide
            line += "\n" in token
        self.lines = (self.line[-1] + 1) if self.line else 0
        self.texts = [plain(text) for text in shown]
        self.hover = [f"“{plain(tokens[i])}” ({plain(roles[i])})" for i in self.at]

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Weights of the tokens, rounded to what can be seen."""
        return np.round(weights[self.at].astype(np.float32), 4)


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


def _with_menu(figure: go.Figure, pattern: np.ndarray, flows: list[_Flow], chosen: list[tuple[int, int]]) -> go.Figure:
    buttons = []
    for layer, head in chosen:
        shares = [flow.shares(pattern[s, layer, head]) for s, flow in enumerate(flows)]
        top = max([0.02, *(float(np.nanmax(one)) for one in shares if one.size)])
        buttons.append(
            {
                "label": f"L{layer}H{head}",
                "method": "update",
                "args": [{"marker.color": shares}, {"coloraxis.cmax": top}],
            }
        )
    figure.update_layout(
        updatemenus=[{
            "buttons": buttons, "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom", "pad": {"b": 8}, "font": {"size": 12, "color": "#1b1f24"},
            "bgcolor": "#f3f6f9", "bordercolor": "#808080", "showactive": True,
        }]
    )  # fmt: skip
    return figure
