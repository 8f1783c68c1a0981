"""Effects of heads: the signed map, the leading heads with their intervals, and how sure their places are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from ._frame import finish, panels
from ._signed_map import BAR, draw_map, map_height, signed_colours
from ._text import plain
from ._theme import BLUE, GREY, VERMILLION, Theme

if TYPE_CHECKING:
    from iclmech.vectors import HeadEffects

_UNIT = "change of P(right answer's first token)"
_LEADING = 12


def head_effects(result: HeadEffects, *, theme: Theme = "light") -> go.Figure:
    """Mean effect of every head, with its sign; frames mark the heads that were looked for.

    Below: the heads with the largest effects, 95 % bootstrap intervals over demonstration sets, and in how many of the
    replicates each is among the top n.

    Args:
        result: of `iclmech.vectors.head_effects`.
        theme: "light" or "dark".
    """
    values, verified = result.aie.numpy(), result.verified.numpy()
    layers, heads = ([int(v) for v in result.data[axis].values] for axis in ("layer", "head"))
    low, high = (bound.numpy() for bound in result.interval())
    member, top = result.membership().numpy(), result.top(min(result.n, max(1, int(verified.sum() or verified.size))))
    cells = np.ndindex(values.shape)
    notes = [
        f"[{low[i]:+.3f}, {high[i]:+.3f}], {'exact' if verified[i] else 'estimated'}, in the top {len(top)}: {member[i]:.0%}"
        for i in cells
    ]
    leading = result.top(min(_LEADING, max(2 * result.n, 4), int(verified.sum() or verified.size)))[::-1]
    rows = float(60 + 22 * len(leading))
    titles = ["All heads", "Heads with the largest effects", f"How often they are among the top {len(top)}"]
    figure = panels(titles, shared_x=False, heights=[map_height(len(layers)), rows, rows], spacing=84)
    note = np.array(notes).reshape(values.shape)
    draw_map(figure, values, 1, layers=layers, columns=heads, notes=note, unit="effect", mark=top)
    signed_colours(figure, values, _UNIT)
    _leading(figure, leading, values, low, high, member)
    n = f"{result.data.sizes['query']} prompts with permuted labels"
    how = f"{int(verified.sum())} of {verified.size} heads run exactly, the others estimated" if not verified.all() else "all heads run exactly"  # fmt: skip
    name = plain(str(result.provenance.get("task", {}).get("name", "")))
    return finish(
        figure,
        title="What every head's mean output does for the answer",
        about=f"{name}: {n}; {how}. Intervals: 95 %, bootstrap.",
        theme=theme,
        legend_rows=0,
        extra=BAR,
    )


def _leading(
    figure: go.Figure,
    heads: list[tuple[int, int]],
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    member: np.ndarray,
) -> None:
    names = [f"L{layer}H{head}" for layer, head in heads]
    at = tuple(np.array(heads).T)
    middle = values[at]
    figure.add_scatter(
        x=middle, y=names, mode="markers", showlegend=False, name="effect", row=2, col=1,
        marker={"size": 9, "color": [VERMILLION if v > 0 else BLUE for v in middle]},
        error_x={"type": "data", "array": high[at] - middle, "arrayminus": middle - low[at], "color": GREY, "thickness": 1.5, "width": 3},
        hovertemplate="<b>%{y}</b>: %{x:+.3f}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title=_UNIT, zeroline=True, row=2, col=1)
    figure.add_bar(
        x=member[at], y=names, orientation="h", showlegend=False, marker={"color": GREY}, name="membership",
        hovertemplate="<b>%{y}</b>: %{x:.0%}<extra></extra>", row=3, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="share of bootstrap replicates", range=[0, 1.01], tickformat=".0%", row=3, col=1)
    for row in (2, 3):
        figure.update_yaxes(type="category", dtick=1, row=row, col=1)
