"""The verdict at a look: what was gained, and each update minus each of its controls, as a forest plot."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclmech._base import Claim, ICLMechError
from iclmech.experiments import Comparison, control_title

from . import _read as read
from ._frame import finish, note, panels, symbol_in_legend
from ._names import setting_name, update_title
from ._text import plain, shortened
from ._theme import GREEN, GREY, Theme, update_colour

_ROW = 30  # pixels: a label of two lines at 11 px fits between its neighbours
_SIGNS = {
    "holds": ("circle", "more, after correction"),
    "does not hold": ("x", "less, after correction"),
    "not shown": ("circle-open", "not shown"),
}


def contrasts(result: Any, *, lr: int = 0, theme: Theme = "light") -> go.Figure:
    """Paired differences with their intervals: accuracy beyond its baseline, then one panel for each update.

    A filled point is a difference that stands the correction for the number of verdicts; an open one is not shown, however
    far its own interval lies from zero; a cross is shown to be less. Right of the line at zero the update is more like
    in-context learning than the control.

    Args:
        result: a `Comparison`.
        lr: position on the learning-rate grid.
        theme: "light" or "dark".

    Raises:
        ICLMechError: not a comparison, or no such learning rate.
    """
    if not isinstance(result, Comparison):
        raise ICLMechError(f"got {type(result).__name__}; expected a Comparison, as icl.compare returns it.")
    data, claims = result.means, result.judged()
    lr = read.check_lr(data, lr)
    updates = read.updates(data)
    gained = [c for c in claims if c.about.get("setting") and _at(data, c, lr)]
    rows = [[(_gain_label(c), c, _gain_colour(c, updates)) for c in gained]]
    for update in updates:
        mine = [c for c in claims if c.about.get("update") == update and _contrast(c) and _at(data, c, lr)]
        rows.append([(_label(c), c, update_colour(update, updates)) for c in mine])
    titles = ["Accuracy gained", *(f"{update_title(update)} minus …" for update in updates)]
    figure = panels(titles, shared_x=False, heights=[max(60, _ROW * len(r) + 20) for r in rows], spacing=72)
    for row, found in enumerate(rows, start=1):
        _forest(figure, found, row)
    figure.update_xaxes(title="share of queries", row=1, col=1)
    for row in range(2, len(rows) + 1):
        figure.update_xaxes(title="difference in SimAOU (cosine)", row=row, col=1)
    _same_range(figure, rows)
    for symbol, text in _SIGNS.values():
        symbol_in_legend(figure, text, symbol, GREY)
    family = claims[0].about["family"] if claims else 0
    about = f"Paired differences, {read.interval(data)}; filled: p < .05 after correction for {family} verdicts. {read.sample(data)}"
    return finish(figure, title="What was shown, and what was not", about=about, theme=theme, legend_rows=2)


def _same_range(figure: go.Figure, rows: list[list[tuple[str, Claim, str]]]) -> None:
    """One range for accuracies, one for all updates, around zero and every end."""
    for group in (range(1, 2), range(2, len(rows) + 1)):
        ends = [
            float(v)
            for row in group
            for _, c, _ in rows[row - 1]
            for v in (c.measured, c.low, c.high)
            if np.isfinite(v)
        ]
        least, most = min([0.0, *ends]), max([0.0, *ends])
        room = 0.04 * (most - least or 1.0)
        for row in group:
            figure.update_xaxes(range=[least - room, most + room], row=row, col=1)


def _contrast(claim: Claim) -> bool:
    return bool(claim.about.get("control") or claim.about.get("other"))


def _at(data: Any, claim: Claim, lr: int) -> bool:
    """Whether a claim is of this learning rate, or of none."""
    update, rate = claim.about.get("update", ""), claim.about.get("lr", np.nan)
    wanted = read.lr_value(data, update, lr)
    return not (np.isfinite(rate) and np.isfinite(wanted)) or bool(np.isclose(rate, wanted))


def _gain_label(claim: Claim) -> str:
    return f"{setting_name(claim.about['setting'])} −<br>{plain(claim.control.removeprefix('the '))}"


def _gain_colour(claim: Claim, updates: list[str]) -> str:
    return GREEN if not claim.about.get("update") else update_colour(claim.about["update"], updates)


def _label(claim: Claim) -> str:
    control = claim.about.get("control")
    text = claim.control if not control or control == "null" else control_title(control)
    head, comma, rest = text.removeprefix("the ").partition(", ")
    return f"{plain(shortened(head, 26))},<br>{plain(shortened(rest, 26))}" if comma else plain(shortened(head, 26))


def _forest(figure: go.Figure, found: list[tuple[str, Claim, str]], row: int) -> None:
    if not found:
        return note(figure, "nothing to judge", row)
    places = list(range(len(found)))[::-1]
    claims = [claim for _, claim, _ in found]
    x, low, high = (np.array([float(getattr(c, part)) for c in claims]) for part in ("measured", "low", "high"))
    said = [
        f"{plain(c.claim)}: {c.verdict}<br>{m:+.3f} [{a:+.3f}, {b:+.3f}]" + (f"<br>{plain(why)}" if (why := c.about.get("why_not")) else "")
        for c, m, a, b in zip(claims, x, low, high, strict=True)
    ]  # fmt: skip
    colours = [GREY if c.about.get("why_not") else colour for _, c, colour in found]
    for place, a, b, colour in zip(places, low, high, colours, strict=True):
        if np.isfinite(a):
            figure.add_scatter(
                x=[a, b], y=[place, place], mode="lines", line={"color": colour, "width": 2}, hoverinfo="skip", showlegend=False,
                row=row, col=1,
            )  # fmt: skip
    figure.add_scatter(
        x=x, y=places, mode="markers", showlegend=False, customdata=said, hovertemplate="%{customdata}<extra></extra>",
        marker={"symbol": [_SIGNS.get(c.verdict, _SIGNS["not shown"])[0] for c in claims], "size": 11, "color": colours,
                "line": {"color": colours, "width": 2}}, row=row, col=1,
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5}, row=row, col=1)  # type: ignore[arg-type]  # its types know "all" only
    figure.update_yaxes(
        tickvals=places, ticktext=[label for label, _, _ in found], range=[-0.6, len(found) - 0.4], showgrid=False, zeroline=False,
        tickfont={"size": 11}, row=row, col=1,
    )  # fmt: skip
