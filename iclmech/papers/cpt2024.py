"""Blau et al. 2024: context-aware prompt tuning."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, unpaired, valued

_R = 0.1


def _above_zero_shot(result: Result) -> Reading:
    return unpaired(result, ("accuracy", {"way": "tuned", "radius": _R}), ("zs_accuracy", {}))


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
        PaperClaim("States with refined demonstrations lie between those of ICL and of GD", why_not="not asked yet: compare has refined embeddings as the control icl:tuned_context"),
    ),
    runs={
        "tuning": call("context-tuning", quick={"n_queries": 96, "radii": (_R,)}, full={"n_queries": 256}, k=8, seeds=5,
                       task=task_for("mini/sentiment", "words/language")),
    },
)  # fmt: skip
