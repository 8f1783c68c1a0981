"""Li, Zhou, Glavaš, Korhonen, Vulić 2024: calibration error of in-context learning, and self-ensembles."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, unpaired, valued

_MEMBERS = {"over": "demonstrations", "join": "max"}


def _miscalibrated(result: Result) -> Reading:
    at = {"setting": "icl", "calibration": "none"}
    return unpaired(result, ("ece", at), ("ece_floor", at))


def _better_calibrated(result: Result) -> Reading:
    return unpaired(result, ("ece", {"setting": "icl", "calibration": "none"}), ("ensemble_ece", _MEMBERS))


PAPER = Paper(
    name="li2024",
    title="On Task Performance and Model Calibration with Supervised and Self-Ensembled In-Context Learning",
    authors="Li, Zhou, Glavaš, Korhonen, Vulić",
    year=2024,
    arxiv="2312.13772",
    model="icl-mini",
    about="Members are contexts with other demonstrations, joined by the largest probability.",
    claims=(
        PaperClaim(
            "In-context learning is miscalibrated",
            run="table", read=_miscalibrated, effect="calibration error beyond its noise floor", unit="calibration error",
            control="the error that a calibrated model of this confidence would show",
        ),
        PaperClaim(
            "A self-ensemble lowers the calibration error",
            run="table", read=_better_calibrated, effect="error of one context less that of the ensemble", unit="calibration error",
            control="one context", otherwise="more members, or errors that lie well above their floor",
        ),
        PaperClaim(
            "A self-ensemble is no less accurate than its members",
            run="table", read=valued(claimed("an ensemble over demonstrations by max beats its single members")),
            effect="accuracy, paired by query", unit="accuracy", margin=-0.02, control="mean of the members",
        ),
        PaperClaim(
            "A self-ensemble is no less accurate than one context with all its demonstrations",
            run="table", read=valued(claimed("an ensemble over demonstrations by max beats one context")),
            effect="accuracy, paired by query", unit="accuracy", margin=-0.02, control="one long context", source="ours",
        ),
    ),
    runs={
        "table": call(
            "calibration", quick={"n_queries": 96, "n_train": 16, "k": 2}, full={"n_queries": 256, "k": 4}, seeds=5,
            methods=("none",), task=task_for("mini/sentiment", "words/language"),
        )
    },
)  # fmt: skip
