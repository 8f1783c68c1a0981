"""Reddy 2024: abrupt in-context learning, and memory against context."""

from __future__ import annotations

from typing import Any

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, in_every_run, over_seeds


def _before(first: str, then: str):
    def read(history: Any) -> Reading:
        table = history.transitions()
        lead = (table[f"{then}_half"] - table[f"{first}_half"]).to_numpy()
        return in_every_run(lead, lead > 0, "half-rise earlier")

    return read


def moved(test_set: str, axis: str, first: Any, last: Any, **at: Any):
    """How much an accuracy differs between two values of a knob, seed by seed, at the rest of the grid."""

    def read(diagram: Any) -> Reading:
        values = diagram.data["accuracy"].sel(test_set=test_set, **at)
        step = values.sel({axis: last}) - values.sel({axis: first})
        return over_seeds(step.mean([d for d in step.dims if d != "seed"]).values)

    return read


def both(share: float = 0.4):
    """The smaller of the accuracies in context and from the weights, seed by seed."""

    def read(diagram: Any) -> Reading:
        import numpy as np

        values = diagram.data["accuracy"].sel(test_set=[diagram.ability, "in_weights"])
        found = values.min("test_set").isel({d: 0 for d in values.dims if d not in ("seed", "test_set")}).values
        return in_every_run(found, np.asarray(found) >= share, f"both at least {share:g}")

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
        PaperClaim(
            "Burstiness makes nets learn in context",
            run="phases", read=moved("in_context", "bursty", 0.5, 1.0), effect="in-context accuracy, bursty less half bursty",
            unit="accuracy", margin=0.1, control="half of the sequences bursty",
        ),
        PaperClaim(
            "Under a Zipf distribution of classes, context and weights are both used",
            run="skew", read=both(), effect="the smaller of the two accuracies", unit="accuracy", rule="the experiment's own",
            control="both at least .4",
            otherwise="a longer training: a quick run ends before the context is used",
        ),
    ),
    runs={
        "training": call("train", quick={"seeds": 3, "steps": 800, "rows": 128}, full={"seeds": 6, "steps": 1200}, world="classes"),
        "phases": call(
            "phase-diagram", quick={"steps": 500, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
            axes=("n_classes=128/8192", "bursty=0.5/1.0"),
        ),
        "skew": call(
            "phase-diagram", quick={"steps": 600, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
            world="classes(n_classes=2048, bursty=0.9)", axes=("zipf=1.0",),
        ),
    },
)  # fmt: skip
