"""Cho, Kato, Sakai, Inoue 2025: the inference circuit and what goes around it."""

from __future__ import annotations

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claim_of, draws

_CONTROLS = {"random": "as many random edges", "mass": "edges of the same attention"}


def _edge(edge: str):
    """What a cut costs beyond the harsher of its controls; the verdict needs both."""

    def read(result) -> Reading:
        found = claim_of(result, f"{edge} carries")
        data = result.data.sel(edge=edge)
        least = min(map(str, data["control"].values), key=lambda c: float(data["excess"].sel(control=c)))
        low, high = (float(v) for v in data["excess_ci"].sel(control=least).values)
        measured = float(data["excess"].sel(control=least))
        return Reading(
            measured, low, high, draws(result), control=_CONTROLS.get(least, least), note=found.about["reason"]
        )

    return read


def _claim(text: str, edge: str, otherwise: str = "", source: str = "paper") -> PaperClaim:
    return PaperClaim(
        text, run="circuit", read=_edge(edge), effect="accuracy lost beyond the harsher control", unit="accuracy", margin=0.0,
        control="as many random edges, and edges of the same attention", otherwise=otherwise, source=source,  # type: ignore[arg-type]  # one of its values
    )  # fmt: skip


_AROUND = "a way around the edge carries the answer: see the wider cut"

PAPER = Paper(
    name="cho2025",
    title="Revisiting In-context Learning Inference Circuit in Large Language Models",
    authors="Cho, Kato, Sakai, Inoue",
    year=2025,
    arxiv="2410.04468",
    model="icl-mini",
    about="Windows of layers are chosen on held-out queries; a cut has to cost more than both of its controls.",
    claims=(
        _claim("Inputs are summarised in the token before their label", "x->s", _AROUND),
        _claim("The query is summarised in its last token", "x_q->s_q"),
        _claim("Summaries are merged into the label tokens", "s->y", _AROUND),
        _claim("The answer is retrieved and copied from the labels by the query's last token", "y->s_q", _AROUND),
        _claim("Labels read their input directly or through the summary (bypass)", "x+s->y"),
        _claim("The query's words may look labels up in place of its last token (bypass)", "y->x_q+s_q"),
    ),
    runs={
        "circuit": call(
            "circuit", quick={"k": 8, "n_queries": 48, "n_contexts": 2, "n_held_out": 24, "seeds": 5, "windows": ((0, 1), (2, 3), (0, 3)), "untrained": False},
            full={"k": 32, "n_queries": 128, "seeds": 5}, task=task_for("mini/held-pair", "words/language"), seeds=3,
        )
    },
)  # fmt: skip
