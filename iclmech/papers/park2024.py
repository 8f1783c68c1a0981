"""Park, Okawa, Lee, Tanaka, Lubana 2024: abilities that are there before behaviour shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iclmech._base import Result

from ._calls import call
from ._paper import Asking, Paper, PaperClaim, Reading
from ._readings import claimed

_TRAIN = call("train", quick={"seeds": 3, "steps": 850, "rows": 128}, full={"seeds": 6, "steps": 1200}, world="classes")


def _lead(asking: Asking) -> dict[str, Result]:
    """A training, then clamps on its snapshots."""
    from iclmech.dynamics import hidden_lead

    history: Any = _TRAIN(asking)
    return {"training": history, "lead": hidden_lead(history, ("match", "previous_token"), rows=asking.size(128, 256))}


def _claim(words: str) -> Callable[[Any], Reading]:
    """The experiment's own claim, which knows when a clamp does the task by itself."""
    return claimed(words, n=3, part="lead")


PAPER = Paper(
    name="park2024",
    title="Emergence of Hidden Capabilities: Exploring Learning Dynamics in Concept Space",
    authors="Park, Okawa, Lee, Tanaka, Lubana",
    year=2024,
    arxiv="2406.19370",
    about="The paper's concepts are of images; here the ability is in-context learning, and the intervention gives a part of its circuit.",
    claims=(
        PaperClaim(
            "An intervention elicits the ability before behaviour shows it (match given)",
            run="clamps on snapshots", read=_claim("With match given"), effect="steps from elicited to shown", unit="steps",
            rule="the experiment's own", control="the net as it is",
        ),
        PaperClaim(
            "An intervention elicits the ability before behaviour shows it (previous token given)",
            run="clamps on snapshots", read=_claim("With previous token given"), effect="steps from elicited to shown", unit="steps",
            rule="the experiment's own", control="the net as it is",
        ),
        PaperClaim(
            "It is what the match says, not that attention was replaced",
            run="clamps on snapshots", read=_claim("It is what match says"), effect="share of the runs in which it comes before its control",
            unit="share of runs", source="ours",
            rule="the experiment's own", control="the same heads with attention drawn at random",
        ),
    ),
    runs={"clamps on snapshots": _lead},
)  # fmt: skip
