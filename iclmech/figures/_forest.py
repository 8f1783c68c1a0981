"""Claims at a look: each number with its interval beside the margin that it had to pass, marked by its verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from iclmech._base import Claim
from iclmech._base._palette import BLUE, GREY, ORANGE, VERMILLION

from ._frame import finish, note, panels, symbol_in_legend
from ._text import lines, plain
from ._theme import Theme

if TYPE_CHECKING:
    from iclmech._base import Result

_LOOKS = {
    "holds": (BLUE, "circle"),
    "does not hold": (VERMILLION, "x"),
    "not shown": (GREY, "circle-open"),
    "quick: no claim": (GREY, "diamond-open"),
}
_ROW, _WIDTH = 72, 58
"""Pixels of a claim; characters of its sentence on a line that fits 400 px."""


def claims_forest(result: Result, *, theme: Theme = "light") -> go.Figure:
    """Claims with intervals, one panel for each unit; a triangle at the margin δ points to where the claim holds.

    Args:
        result: of `reproduce`, or any whose claims say their unit and margin.
        theme: "light" or "dark".
    """
    rows = [claim for claim in result.judged() if math.isfinite(claim.measured)]
    units = list(dict.fromkeys(str(claim.about.get("unit", "")) for claim in rows))
    groups = [[c for c in rows if c.about.get("unit", "") == unit] for unit in units]
    figure: Any = panels(
        [plain(unit) for unit in units] or [""], shared_x=False, heights=[_ROW * len(g) for g in groups], spacing=58
    )
    for row, claims in enumerate(groups, start=1):
        _panel(figure, row, claims)
    if not rows:
        note(figure, "None of the claims has a number here.")
    shown = list(dict.fromkeys(c.verdict for c in rows))
    for verdict in shown:
        colour, symbol = _LOOKS[verdict]
        symbol_in_legend(figure, verdict, symbol, colour)
    if any(_ends(claim) for claim in rows):
        symbol_in_legend(figure, "margin δ, pointing to where the claim holds", "triangle-right", ORANGE)
    paper = result.provenance.get("paper", {})
    left = len(result.judged()) - len(rows)
    about = "Bars: 95 % intervals, uncorrected, or the range of runs where the rule says so." + (
        f" {left} without a number." if left else ""
    )
    title = f"Claims of {plain(str(paper.get('name', result.kind)))}"
    return finish(figure, title=title, about=about, theme=theme, legend_rows=2)


def _panel(figure: Any, row: int, claims: list[Claim]) -> None:
    axis, span = "" if row == 1 else str(row), []
    for place, claim in enumerate(claims):
        span += [v for v in (claim.measured, claim.low, claim.high) if math.isfinite(v)]
        colour, symbol = _LOOKS[claim.verdict]
        bars = {}
        if math.isfinite(claim.low) and claim.low < claim.high:
            ends = {"array": [claim.high - claim.measured], "arrayminus": [claim.measured - claim.low]}
            bars = {"error_x": {"type": "data", "thickness": 2, "width": 5, "color": colour, **ends}}
        figure.add_scatter(
            x=[claim.measured], y=[-place], mode="markers", showlegend=False, name=claim.verdict,
            marker={"color": colour, "symbol": symbol, "size": 10}, **bars,
            hovertemplate=f"%{{x:.3g}} · {claim.verdict}<extra></extra>", row=row, col=1,
        )  # fmt: skip
        for margin, symbol in _ends(claim):
            figure.add_scatter(
                x=[margin], y=[-place], mode="markers", marker={"color": ORANGE, "symbol": symbol, "size": 11}, showlegend=False,
                hovertemplate=f"δ = {margin:g}<extra></extra>", row=row, col=1,
            )  # fmt: skip
            span += [margin]
        figure.add_annotation(
            text=lines(plain(claim.claim), _WIDTH), x=0, xref=f"x{axis} domain", xanchor="left", y=-place + 0.62, yref=f"y{axis}",
            yanchor="top", align="left", showarrow=False, font={"size": 11},
        )  # fmt: skip
    figure.update_yaxes(
        range=[-len(claims) + 0.6, 0.75], showticklabels=False, showgrid=False, zeroline=False, ticks="", row=row, col=1
    )
    room = 0.05 * (max(span) - min(span) or abs(span[0]) or 1.0)
    figure.update_xaxes(range=[min(span) - room, max(span) + room], row=row, col=1)


def _ends(claim: Claim) -> list[tuple[float, str]]:
    """Where the margin stands and which way the claim lies; two of them where two things are said to be alike."""
    margin, side = float(claim.about.get("margin", math.nan)), claim.about.get("side", "above")
    if not math.isfinite(margin):
        return []
    right, left = "triangle-right", "triangle-left"
    return [(-margin, right), (margin, left)] if side == "within" else [(margin, left if side == "below" else right)]
