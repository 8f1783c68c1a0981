"""One look for every figure: colours, dashes, a light and a dark template, sizes that hold from 400 to 1600 px."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import plotly.io as pio

from iclmech._base import REGISTRIES, ICLMechError
from iclmech._base._palette import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

Theme = str  # "light" or "dark"

_MORE_UPDATES = (PURPLE, GREEN, SKY, ORANGE)

LABEL_COLOURS: tuple[str, ...] = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
"""Colours of label words, in order."""
DASHES: tuple[str, ...] = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

SETTING_COLOURS: dict[str, str] = {"zs": GREY, "icl": GREEN}
"""The colours of zero-shot and in-context learning; a fine-tuned setting has the colour of its update."""

_SEQUENTIAL = {
    "light": ["#ffffff", "#d6e6f2", "#93c1de", "#4a93c2", "#0072B2", "#003a5c"],
    "dark": ["#14181d", "#0b3350", "#00588a", "#2c8dc8", "#7fc0e6", "#e3f2fc"],
}
_DIVERGING = {
    "light": ["#40004b", "#762a83", "#c2a5cf", "#f7f7f7", "#a6dba0", "#1b7837", "#00441b"],
    "dark": ["#e7d4e8", "#b07cc0", "#5b2c6f", "#171b20", "#1b5e34", "#4caf6d", "#d9f0d3"],
}  # purple to green (ColorBrewer's PRGn, and its like on black): no update has these colours
_INK = {"light": "#1b1f24", "dark": "#e6e9ed"}
_PAPER = {"light": "#ffffff", "dark": "#14181d"}
_GRID = {"light": "#e3e6ea", "dark": "#2c333b"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def _scale(colours: list[str]) -> list[list]:
    return [[i / (len(colours) - 1), c] for i, c in enumerate(colours)]


def _template(theme: Theme) -> go.layout.Template:
    ink, paper, grid = _INK[theme], _PAPER[theme], _GRID[theme]
    axis = {
        "gridcolor": grid, "linecolor": grid, "zerolinecolor": GREY, "zerolinewidth": 1, "ticks": "outside", "ticklen": 4,
        "tickcolor": grid, "automargin": True, "title": {"standoff": 8, "font": {"size": 13}}, "tickfont": {"size": 12},
    }  # fmt: skip
    layout = go.Layout(
        font={"family": _FONT, "size": 13, "color": ink},
        paper_bgcolor=paper,
        plot_bgcolor=paper,
        colorway=list(LABEL_COLOURS),
        colorscale={
            "sequential": _scale(_SEQUENTIAL[theme]),
            "sequentialminus": _scale(_SEQUENTIAL[theme][::-1]),
            "diverging": _scale(_DIVERGING[theme]),
        },
        title={"x": 0, "xref": "container", "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top",
               "pad": {"l": 12, "t": 12}, "font": {"size": 16}, "subtitle": {"font": {"size": 12, "color": GREY}}},
        margin={"l": 56, "r": 16, "t": 72, "b": 48},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom",
                "font": {"size": 12}, "itemwidth": 36, "tracegroupgap": 0, "bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"family": _FONT, "size": 13, "color": ink}, "bgcolor": paper, "bordercolor": GREY, "align": "left"},
        xaxis={**axis, "zeroline": False},
        yaxis=axis,
        annotationdefaults={"font": {"size": 12, "color": ink}},
        coloraxis={"colorbar": {"outlinewidth": 0, "thickness": 12, "tickfont": {"size": 11}}},
    )  # fmt: skip
    return go.layout.Template(layout=layout)


TEMPLATES: dict[str, go.layout.Template] = {"light": _template("light"), "dark": _template("dark")}
for _name, _value in TEMPLATES.items():
    pio.templates[f"iclmech_{_name}"] = _value


def template(theme: Theme = "light") -> go.layout.Template:
    """The plotly template of a theme: `figure.update_layout(template=iclmech.figures.template("dark"))`.

    Both are registered with plotly as "iclmech_light" and "iclmech_dark". No trace has a colour that is unreadable on
    one of them, so changing the template changes the theme of a finished figure.

    Raises:
        ICLMechError: the theme is neither "light" nor "dark".
    """
    if theme not in TEMPLATES:
        raise ICLMechError(f"got the theme {theme!r}; expected 'light' or 'dark'.")
    return TEMPLATES[theme]


def update_colour(update: str, updates: Sequence[str] = ()) -> str:
    """The colour of an update: its record's, or the next free one in order of `updates`."""
    known = REGISTRIES["update"]
    own = {u: known[u].colour for u in {*updates, update} if u in known and known[u].colour}
    if update in own:
        return own[update]
    others = [u for u in updates if u not in own]
    return _MORE_UPDATES[others.index(update) % len(_MORE_UPDATES)] if update in others else PURPLE


def control_style(control: str) -> tuple[str, str]:
    """Colour and dash of a control, in every figure: each differs from the others without colour too."""
    known = REGISTRIES["control"]
    if control == "null":
        return GREY, "solid"
    return (known[control].colour, known[control].dash) if control in known else (SKY, "dot")


def control_rank(control: str) -> int:
    """Where a control stands in legends: in order of registration, the null behind them, unknown ones last."""
    known = list(REGISTRIES["control"])
    return known.index(control) if control in known else len(known) + (control != "null")


def translucent(colour: str, alpha: float) -> str:
    """`#rrggbb` as `rgba(…)`, for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
