"""Singh 2023: a transformer's layers as a walk through embedding space. Descriptive: numbers without verdicts."""

from __future__ import annotations

from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim
from ._readings import displaced

_WALK: dict[str, Any] = {"unit": "1 - cosine", "rule": "descriptive"}

PAPER = Paper(
    name="walk2023",
    title="Analyzing Transformer Dynamics as Movement through Embedding Space",
    authors="Singh",
    year=2023,
    arxiv="2308.10874",
    model="icl-mini",
    about="How far demonstrations move the walk of a query, beside an update and a text that teaches nothing.",
    claims=(
        PaperClaim("Demonstrations move the query's walk", run="walk", read=displaced("icl:reordered"), effect="displacement of attention outputs from zero-shot, mean over layers",
                   control="zero-shot", **_WALK),
        PaperClaim("Gradient descent on the demonstrations moves the query's walk", run="walk", read=displaced("gd"),
                   effect="displacement of attention outputs from zero-shot, mean over layers", control="zero-shot", **_WALK),
        PaperClaim("Unrelated text moves the query's walk", run="walk", read=displaced("icl:unrelated_text"),
                   effect="displacement of attention outputs from zero-shot, mean over layers", control="zero-shot", **_WALK),
        PaperClaim("The readout of each step, and its direction, by layer", why_not="figures without a claim: icl.figures.shift_trajectory and icl.figures.logit_lens"),
    ),
    runs={
        "walk": call("compare", quick={"k": 8, "n_queries": 32, "seeds": 3, "lr": 0.03}, full={"k": 32, "n_queries": 128, "seeds": 5},
                     task=task_for("mini/sentiment", "words/language"), updates=("gd",), controls=("icl:unrelated_text", "icl:reordered")),
    },
)  # fmt: skip
