"""Hendel, Geva, Globerson 2023: task vectors; Todd et al. 2024: function vectors."""

from __future__ import annotations

from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim
from ._readings import claimed, valued

_STEER: dict[str, Any] = {"effect": "accuracy, paired by query, at the chosen layer", "unit": "accuracy"}
_NOT_HERE = "a model that keeps what the demonstrations teach in one state, or more layers to choose from"


def _leads(vector: str) -> tuple[PaperClaim, ...]:
    """One claim for each control of a vector that is put in where there are no demonstrations."""

    def lead(text: str, words: str, control: str, margin: float, source: str = "paper") -> PaperClaim:
        return PaperClaim(
            f"The {vector} does more than {text}", run="steering", read=valued(claimed(words)), margin=margin, source=source,  # type: ignore[arg-type]  # one of its values
            control=control, otherwise=_NOT_HERE, **_STEER,
        )  # fmt: skip

    return (
        PaperClaim("The model learns in context what the vector has to carry", run="steering", read=valued(claimed("learns in context")),
                   control="zero-shot", source="ours", **_STEER),
        lead("nothing in its place", "does more than nothing", "zero-shot", 0.05),
        lead("the vector of another task", "wrong task", "wrong task", 0.05, "ours"),
        lead("random vectors of its length", "random", "random vectors", 0.05, "ours"),
        lead("vectors made with permuted labels", "shuffled", "permuted labels", 0.05, "ours"),
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
        *_leads("function vector"),
    ),
    runs={
        "heads": call("head-effects", quick={"n_queries": 32}, full={"n_queries": 64, "method": "exact"},
                      task=task_for("mini/held-words", "words/plural")),
        "steering": call("steer", quick=_QUICK, full={"n_queries": 128, "seeds": 5}, method="function", k=10, seeds=3,
                         task=task_for("mini/held-words", "words/plural")),
    },
)  # fmt: skip
