"""Blau et al. 2024: context-aware prompt tuning."""

from __future__ import annotations

from typing import Any

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, overall, unpaired, valued

_R = 0.1


def _above_zero_shot(result: Result) -> Reading:
    return unpaired(result, ("accuracy", {"way": "tuned", "radius": _R}), ("zs_accuracy", {}))


def _similarities(result: Any, one: str, other: str) -> Reading:
    a, b = (overall("sim_aou", name)(result) for name in (one, other))
    note = "interval from two unpaired ones, so rather too wide"
    return Reading(a.measured - b.measured, a.low - b.high, a.high - b.low, a.n, note=note, barred=a.barred or b.barred)


def _less_like_icl(result: Any) -> Reading:
    return _similarities(result, "icl:random_context", "icl:tuned_context")


def _more_like_than_gd(result: Any) -> Reading:
    return _similarities(result, "icl:tuned_context", "gd")


PAPER = Paper(
    name="cpt2024",
    title="Context-aware Prompt Tuning: Advancing In-Context Learning with Adversarial Methods",
    authors="Blau, Kimhi, Belinkov, Bronstein, Baskin",
    year=2024,
    arxiv="2410.17222",
    model="icl-mini",
    about="Embeddings of the demonstrations descend on their own labels' loss, within a radius.",
    claims=(
        PaperClaim(
            "Refined demonstrations beat the same demonstrations as they are",
            run="tuning", read=valued(claimed(f"beat those as they are (radius {_R:g})")), effect="accuracy, paired by query", unit="accuracy",
            margin=0.02, control="the demonstrations as they are", otherwise="a context that leaves more to gain",
        ),
        PaperClaim(
            "Refined demonstrations beat random moves of the same lengths",
            run="tuning", read=valued(claimed(f"beat random moves (radius {_R:g})")), effect="accuracy, paired by query", unit="accuracy",
            control="random moves", source="ours",
        ),
        PaperClaim(
            "Refined demonstrations beat no demonstrations",
            run="tuning", read=_above_zero_shot, effect="accuracy with refined demonstrations less zero-shot", unit="accuracy",
            control="zero-shot", source="ours",
        ),
        PaperClaim(
            "States with refined demonstrations are less like ICL's than states with random moves of the same lengths",
            run="states", read=_less_like_icl, effect="SimAOU with ICL, random moves less refined", unit="cosine", source="ours",
            control="random moves", otherwise="steps that change what the context says, not only how it looks",
        ),
        PaperClaim(
            "States with refined demonstrations are more like ICL's than those of gradient descent",
            run="states", read=_more_like_than_gd, effect="SimAOU with ICL, refined demonstrations less GD", unit="cosine", margin=0.02,
            control="gradient descent on the same demonstrations",
        ),
    ),
    runs={
        "states": call("compare", quick={"k": 8, "n_queries": 32, "seeds": 3, "lr": 0.03}, full={"k": 8, "n_queries": 128, "seeds": 5},
                       task=task_for("mini/sentiment", "words/language"), updates=("gd",), controls=("icl:tuned_context", "icl:random_context")),
        "tuning": call("context-tuning", quick={"n_queries": 96, "radii": (_R,)}, full={"n_queries": 256}, k=8, seeds=5,
                       task=task_for("mini/sentiment", "words/language")),
    },
)  # fmt: skip
