"""Hendel, Geva, Globerson 2023: task vectors; Todd et al. 2024: function vectors."""

from __future__ import annotations

from typing import Any

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, unpaired, valued

_STEER: dict[str, Any] = {"effect": "accuracy, paired by query, at the chosen layer", "unit": "accuracy"}
_NOT_HERE = "a model that keeps what the demonstrations teach in one state, or more layers to choose from"


def _above_zero_shot(result: Result) -> Reading:
    vector, nothing = ({"setting": s, "control": "none"} for s in ("vector", "zs"))
    return unpaired(result, ("accuracy_chosen", vector), ("accuracy_chosen", nothing))


def _leads(vector: str, *more: tuple[str, str, str]) -> tuple[PaperClaim, ...]:
    """One claim for each control of a vector that is put in where there are no demonstrations."""
    controls = (
        ("the vector of another task", "that of another task", "another task's vector"),
        ("random vectors of its length", "a random vector", "random vectors"),
        ("vectors made with permuted labels", "that of permuted labels", "permuted labels"),
        *more,
    )
    return (
        PaperClaim(
            "The model learns in context what the vector has to carry", run="steering", read=valued(claimed("learns in context")),
            control="zero-shot", source="ours", **_STEER,
        ),
        PaperClaim(
            f"The {vector} does more than nothing in its place", run="steering", read=_above_zero_shot, margin=0.05, control="zero-shot",
            otherwise=_NOT_HERE, **_STEER,
        ),
        *(
            PaperClaim(
                f"The {vector} does more than {text}", run="steering", read=valued(claimed(f"does more than {words}")), margin=0.05,
                source="ours", control=control, otherwise=_NOT_HERE, **_STEER,
            )
            for text, words, control in controls
        ),
    )  # fmt: skip


_QUICK: dict[str, Any] = {"n_queries": 24, "n_fit": 12, "n_held_out": 8, "n_permutations": 2, "n_random": 3}

HENDEL = Paper(
    name="hendel2023",
    title="In-Context Learning Creates Task Vectors",
    authors="Hendel, Geva, Globerson",
    year=2023,
    arxiv="2310.15916",
    model="icl-mini",
    about="The state of a dummy query behind demonstrations replaces that of a query without any; the layer is chosen on other queries.",
    claims=_leads("task vector"),
    runs={
        "steering": call("steer", quick=_QUICK, full={"n_queries": 128, "seeds": 5}, method="task", k=16, seeds=3,
                         task=task_for("mini/held-words", "words/plural")),
    },
)  # fmt: skip

TODD = Paper(
    name="todd2024",
    title="Function Vectors in Large Language Models",
    authors="Todd, Li, Sen Sharma, Mueller, Wallace, Bau",
    year=2024,
    arxiv="2310.15213",
    model="icl-mini",
    about="Mean outputs of the heads with the largest indirect effects are added where there are no demonstrations.",
    claims=(
        PaperClaim(
            "Few heads carry what the demonstrations teach",
            run="heads", read=valued(claimed("Some heads carry", n=32)), effect="summed effect of the top heads, chosen on the other half of the prompts",
            unit="probability of the answer", control="no effect",
        ),
        *_leads("function vector", ("those of other heads of the same layers", "that of other heads", "as many other heads")),
    ),
    runs={
        "heads": call("head-effects", quick={"n_queries": 32}, full={"n_queries": 64, "method": "exact"},
                      task=task_for("mini/held-words", "words/plural")),
        "steering": call("steer", quick=_QUICK, full={"n_queries": 128, "seeds": 5}, method="function", k=10, seeds=3,
                         task=task_for("mini/held-words", "words/plural")),
    },
)  # fmt: skip
