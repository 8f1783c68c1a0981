"""Abilities over the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclmech._base import ICLMechError

from ._end_labels import end_labels
from ._frame import finish, panels
from ._names import measure_name
from ._similarity import NAMES
from ._text import plain, shortened
from ._theme import DASHES, GREY, LABEL_COLOURS, Theme, translucent

_HEADS = ("prefix_matching", "previous_token", "copy_accuracy")
_X = {"step": "training step", "tokens": "tokens seen", "cpu_seconds": "CPU time (s)"}


def emergence(
    history: Sequence[Mapping[str, Any]],
    measures: Sequence[str] | None = None,
    *,
    x: str = "step",
    chance: Sequence[float] = (0.5, 0.25),
    theme: Theme = "light",
) -> go.Figure:
    """Accuracies and scores of heads over training snapshots: the mean where all seeds were measured, and every seed as a thin line.

    Every line bears its name at the right; "@16" is the number of demonstrations.

    Args:
        history: rows with `seed`, `x` and measures, as `iclmech.mini.mini_history()` gives them.
        measures: columns to draw; by default the accuracy with the most demonstrations of each task (none: left out), `in_weights`, and scores of heads.
        x: "step", "tokens" or "cpu_seconds".
        chance: accuracies to draw as dotted lines; by default guessing between the two or four labels of icl-mini's tasks.
        theme: "light" or "dark".

    Raises:
        ICLMechError: no rows, or a column that is not there.
    """
    if not history:
        raise ICLMechError("got no rows; expected a training history, such as iclmech.mini.mini_history().")
    known = set().union(*(row.keys() for row in history))
    drawn = list(measures) if measures is not None else _usual(known)
    missing = [name for name in (*drawn, x) if name not in known]
    if missing or not drawn:
        raise ICLMechError(
            f"got {', '.join(missing) or 'no measures'}; this history holds {', '.join(sorted(map(str, known)))}."
        )
    groups = [
        ("Accuracy", "share of queries", [m for m in drawn if m not in _HEADS]),
        ("Heads", "score of the best head", [m for m in drawn if m in _HEADS]),
    ]
    groups = [g for g in groups if g[2]]
    figure = panels([title for title, _, _ in groups], heights=[240.0] * len(groups))
    colour = 0
    for row, (title, unit, names) in enumerate(groups, start=1):
        ends = []
        for name in names:
            ends += _draw(figure, history, name, x, colour, row)
            colour += 1
        for level in chance if title == "Accuracy" else ():
            figure.add_hline(y=level, line={"color": GREY, "width": 1, "dash": "dot"}, row=row, col=1)  # type: ignore[arg-type]  # its types know "all" only
            ends.append((float(level), f"guessing, {level:.0%}", GREY))
        end_labels(figure, ends, row=row, span=(-0.02, 1.02), height=240)
        figure.update_yaxes(title=unit, range=[-0.02, 1.02], row=row, col=1)
    figure.update_xaxes(title=_X.get(x, plain(x)), row=len(groups), col=1)
    seeds = len({r.get("seed") for r in history})
    about = f"Thick: mean where all {seeds} seeds were measured; thin: each seed." if seeds > 1 else "One seed."
    made = finish(figure, title="Emergence over training", about=about, theme=theme, legend_rows=0)
    return made.update_layout(showlegend=False, margin={"r": NAMES})


def _usual(known: set[str]) -> list[str]:
    """One accuracy per task, that with the most demonstrations; then in-weights accuracy and scores of heads."""
    best: dict[str, str] = {}
    for name in sorted(n for n in known if "@" in n and not n.endswith("@0")):
        task, _, k = name.rpartition("@")
        if task not in best or int(k) > int(best[task].rpartition("@")[2]):
            best[task] = name
    return [*best.values(), *(n for n in ("in_weights", *_HEADS) if n in known)]


def _draw(figure: go.Figure, history: Sequence[Mapping[str, Any]], name: str, x: str, number: int, row: int
) -> list[tuple[float, str, str]]:  # fmt: skip
    colour, dash = LABEL_COLOURS[number % len(LABEL_COLOURS)], DASHES[number // len(LABEL_COLOURS) % len(DASHES)]
    task, at, k = name.rpartition("@")
    shown = f"{plain(task)}, {k} demonstrations" if at else measure_name(name)
    points: dict[float, list[float]] = {}
    for seed in sorted({r.get("seed", 0) for r in history}, key=str):
        rows = sorted((r for r in history if r.get("seed", 0) == seed and r.get(name) is not None), key=lambda r: r[x])
        for r in rows:
            points.setdefault(float(r[x]), []).append(float(r[name]))
        figure.add_scatter(
            x=[r[x] for r in rows], y=[r[name] for r in rows], mode="lines", line={"color": translucent(colour, 0.5), "width": 1},
            legendgroup=name, showlegend=False, hovertemplate=f"{shown}, seed {plain(str(seed))}<br>%{{x}}: %{{y:.2f}}<extra></extra>", row=row, col=1,
        )  # fmt: skip
    n_seeds = max((len(v) for v in points.values()), default=0)
    steps = sorted(s for s, found in points.items() if len(found) == n_seeds)  # a mean over other seeds would jump
    figure.add_scatter(
        x=steps, y=[float(np.mean(points[s])) for s in steps], mode="lines+markers", name=shown, legendgroup=name, marker={"size": 5},
        line={"color": colour, "width": 2.6, "dash": dash}, hovertemplate=f"{shown}<br>%{{x}}: %{{y:.2f}}<extra></extra>", row=row, col=1,
    )  # fmt: skip
    return [(float(np.mean(points[steps[-1]])), plain(shortened(name, 19)) if at else shown, colour)] if steps else []
