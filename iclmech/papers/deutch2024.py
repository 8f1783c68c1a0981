"""Deutch, Magar, Bar Natan, Dar 2024: ICL beside GD and layer-causal GD, as published, and with controls that decide."""

from __future__ import annotations

from ._calls import call, each, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, contrast, in_most, label_specific, valued

_MINI = ("mini/sentiment", "mini/topic", "mini/subjectivity", "mini/cluster", "mini/held-pair")
_WORDS = ("words/category", "words/language", "words/plural")


def _in_most_tasks(measure: str):
    def read(results) -> Reading:
        return in_most({task: contrast(measure, "lcgd - gd")(r) for task, r in results.items()}, floor=-0.05)

    return read


def _more_like(update: str, control: str):
    return valued(claimed(f"{update} is more like ICL than {control}"))


PAPER = Paper(
    name="deutch2024",
    title="In-context Learning and Gradient Descent Revisited",
    authors="Deutch, Magar, Bar Natan, Dar",
    year=2024,
    arxiv="2311.07772",
    model="icl-mini",
    about="The published protocol on several tasks, then one task with controls at equal displacement.",
    claims=(
        PaperClaim(
            "Layer-causal GD changes attention outputs more like ICL than GD does, in most tasks",
            run="published protocol", read=_in_most_tasks("sim_aou"), effect="SimAOU of LCGD less that of GD, median over tasks", unit="cosine",
            control="GD", rule="the experiment's own", margin=-0.05,
            otherwise="the published rates may be far from those of this model, and the two updates move states by different amounts",
        ),
        PaperClaim(
            "Layer-causal GD changes attention maps more like ICL than GD does, in most tasks",
            run="published protocol", read=_in_most_tasks("sim_am"), effect="SimAM of LCGD less that of GD, median over tasks", unit="cosine",
            control="GD", rule="the experiment's own", margin=-0.05,
        ),
        PaperClaim(
            "GD is more like ICL than random weights that move every layer as far",
            run="controls", read=_more_like("GD", "a random weight change that moves"), effect="SimAOU, mean over layers", unit="cosine", margin=0.02,
            source="ours", control="matched random update",
        ),
        PaperClaim(
            "Layer-causal GD is more like ICL than random weights that move every layer as far",
            run="controls", read=_more_like("LCGD", "a random weight change that moves"), effect="SimAOU, mean over layers", unit="cosine", margin=0.02,
            source="ours", control="matched random update",
        ),
        PaperClaim(
            "GD is more like ICL in the trained model than in an untrained one",
            run="controls", read=_more_like("GD", "the untrained model"), effect="SimAOU, mean over layers", unit="cosine", margin=0.02,
            source="ours", control="untrained model",
        ),
        PaperClaim(
            "GD is more like ICL than a context of unrelated text is",
            run="controls", read=_more_like("GD", "unrelated text"), effect="SimAOU, mean over layers", unit="cosine", margin=0.0,
            source="ours", control="unrelated text in the prompt",
            otherwise="most of the shift says that there is a context of this form, which no update can say",
        ),
        PaperClaim(
            "What the right labels add to GD's shift is like what they add to ICL's",
            run="labels", read=label_specific("gd"), effect="label-specific similarity Δ, whose null is zero", unit="cosine",
            source="ours", control="permuted labels on both sides",
        ),
    ),
    runs={
        "published protocol": each(
            "task", lambda asking: (asking.task("mini/sentiment", "words/language"),), lambda asking: (asking.own_task,) if asking.own_task else _MINI if asking.small else _WORDS, call, "compare",
            quick={"k": 8, "n_queries": 24, "seeds": 3}, full={"k": 32, "n_queries": 128, "seeds": 5},
            controls=("none",), updates=("gd", "lcgd"), preset="deutch2024",
        ),
        "controls": call(
            "compare", quick={"k": 8, "n_queries": 24, "seeds": 3, "lr": 0.03}, full={"k": 32, "n_queries": 128, "seeds": 5},
            task=task_for("mini/sentiment", "words/language"), controls=("matched_update", "untrained", "icl:unrelated_text"),
        ),
        "labels": call(
            "compare", quick={"k": 4, "n_queries": 16, "seeds": 3, "lr": 0.03}, full={"k": 32, "n_queries": 64, "seeds": 5},
            task=task_for("mini/topic-symbols", "words/language"), updates=("gd",), controls=("none",), label_specific=True,
        ),
    },
)  # fmt: skip
