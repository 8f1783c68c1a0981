"""Reddy 2024: abrupt in-context learning, and memory against context."""

from __future__ import annotations

from typing import Any

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._phase_diagrams import SKEW, both_under_skew, bursty, moved, phases
from ._readings import claimed, in_every_run


def _before(first: str, then: str):
    def read(history: Any) -> Reading:
        table = history.transitions()
        lead = (table[f"{then}_half"] - table[f"{first}_half"]).to_numpy()
        return in_every_run(lead, lead > 0, "half-rise earlier")

    return read


PAPER = Paper(
    name="reddy2024",
    title="The mechanistic basis of data dependence and abrupt learning in an in-context classification task",
    authors="Reddy",
    year=2024,
    arxiv="2312.03002",
    about="Two-layer attention nets on classes of vectors.",
    claims=(
        PaperClaim(
            "In-context learning comes abruptly, after a plateau",
            run="training", read=claimed("The rise is abrupt"), effect="steps before the rise less steps of the rise", unit="steps",
            rule="the experiment's own", control="steps of the rise",
        ),
        PaperClaim(
            "On the plateau a net guesses among the labels of the context",
            run="training", read=claimed("Accuracy first stays"), effect="accuracy on the plateau", unit="accuracy",
            rule="the experiment's own", control="guessing among the labels of the context",
        ),
        PaperClaim(
            "The query attends to labels before probability moves to the context's labels",
            run="training", read=_before("target_to_labels", "label_mass"), effect="steps between the half-rises", unit="steps",
            rule="the experiment's own", control="half-rise of label mass",
        ),
        PaperClaim(
            "Probability moves to the context's labels before the right one is found",
            run="training", read=_before("label_mass", "accuracy"), effect="steps between the half-rises", unit="steps",
            rule="the experiment's own", control="half-rise of accuracy",
        ),
        PaperClaim(
            "Attention from labels to their items has risen half-way before accuracy has",
            run="training", read=_before("label_to_item", "accuracy"), effect="steps between the half-rises", unit="steps",
            rule="the experiment's own", control="half-rise of accuracy",
        ),
        PaperClaim(
            "More classes make nets learn in context",
            run="phases", read=moved("in_context", "n_classes", 128, 8192), effect="in-context accuracy, many less few classes",
            unit="accuracy", margin=0.1, control="few classes",
        ),
        PaperClaim(
            "Fewer classes make nets learn in weights",
            run="phases", read=moved("in_weights", "n_classes", 8192, 128), effect="in-weights accuracy, few less many classes",
            unit="accuracy", margin=0.1, control="many classes",
        ),
        bursty("Burstiness makes nets learn in context"),
        both_under_skew("Under a Zipf distribution of classes, context and weights are both used"),
    ),
    runs={
        "training": call("train", quick={"seeds": 3, "steps": 800, "rows": 128}, full={"seeds": 6, "steps": 1200}, world="classes"),
        "phases": phases(steps=500),
        "skew": SKEW,
    },
)  # fmt: skip
