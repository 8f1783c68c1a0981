"""Anand, Lepori, Merullo, Pavlick 2025: forgetting the items, always or for a while."""

from __future__ import annotations

from typing import Any

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed

_OWN: dict[str, Any] = {
    "effect": "accuracy on tokens never trained",
    "unit": "accuracy",
    "rule": "the experiment's own",
}

PAPER = Paper(
    name="anand2025",
    title="Dual Process Learning: Controlling Use of In-Context vs. In-Weights Strategies with Weight Forgetting",
    authors="Anand, Lepori, Merullo, Pavlick",
    year=2025,
    arxiv="2406.00053",
    about="Small nets with a table of item embeddings, which forgetting draws anew.",
    claims=(
        PaperClaim("Without forgetting, what the context teaches does not reach tokens never trained", run="forgetting",
                   read=claimed("Without forgetting"), control="active forgetting", **_OWN),
        PaperClaim("Active forgetting keeps learning in context for tokens never trained", run="forgetting",
                   read=claimed("With forgetting"), control="no forgetting",
            otherwise="a longer training: a quick run is a fifth of a full one", **_OWN),
        PaperClaim("Temporary forgetting gives both abilities, if it stops after the transition", run="temporary",
                   read=claimed("After temporary forgetting"), control="each ability alone",
                   otherwise="training that goes on until the transition, and 450 steps beyond the stop", **_OWN),
    ),
    runs={
        "forgetting": call(
            "forgetting", quick={"steps": 1000, "evaluate": 250, "rows": 128}, full={"steps": 5000, "seeds": 5}, seeds=3,
            world="tokens(bursty=1.0)", conditions=("none", "active=forget(every=25)"),
        ),
        "temporary": call(
            "forgetting", quick={"steps": 1100, "evaluate": 100, "rows": 128, "after": 200}, full={"steps": 5000, "seeds": 5}, seeds=3,
            world="tokens(bursty=0.9)", conditions=("temporary=forget(every=25; until=('unseen'; 0.95))",),
        ),
    },
)  # fmt: skip
