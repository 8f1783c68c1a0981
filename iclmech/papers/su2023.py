"""Su et al. 2023 (vote-k), Zhang et al. 2024 (IDEAL), Zhou et al. 2023 (DynaICL): which demonstrations, and how many."""

from __future__ import annotations

from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim
from ._readings import claimed, valued

_TASK = task_for("mini/sentiment", "words/language")
_PAIRED: dict[str, Any] = {"effect": "accuracy, paired by query", "unit": "accuracy"}
_QUICK: dict[str, Any] = {"n_queries": 40, "candidates": 120, "annotated": 40, "seeds": 5}
_FULL: dict[str, Any] = {"n_queries": 256, "seeds": 5}
_EASY = "a task whose texts differ more, so that it matters which of them are seen"


def _annotation(method: str, title: str) -> tuple[PaperClaim, ...]:
    return (
        PaperClaim(
            f"Annotating by {title} beats annotating at random, with retrieved demonstrations", run="selection",
            read=valued(claimed(f"annotation by {method} beats random annotation (knn")), control="random annotation",
            margin=0.02, otherwise=_EASY, **_PAIRED,
        ),
        PaperClaim(
            "Retrieving similar demonstrations beats drawing them at random", run="selection",
            read=valued(claimed(f"retrieval by knn beats random demonstrations ({method}")), control="random retrieval", margin=0.02, **_PAIRED,
        ),
        PaperClaim(
            "The model does better than the vote of the retrieved labels", run="selection",
            read=valued(claimed(f"beats the vote of their labels ({method}")), control="vote of the same labels", source="ours",
            otherwise="a model that does more with neighbours than count their labels", **_PAIRED,
        ),
    )  # fmt: skip


def _selection(method: str):
    return call("selection", quick=_QUICK, full=_FULL, k=4, seeds=3, task=_TASK, annotations=("random", method),
                retrievals=("random", "knn"), ladder=())  # fmt: skip


SU = Paper(
    name="su2023", title="Selective Annotation Makes Language Models Better Few-Shot Learners",
    authors="Su, Kasai, Wu, Shi, Wang, Xin, Zhang, Ostendorf, Zettlemoyer, Smith, Yu", year=2023, arxiv="2209.01975", model="icl-mini",
    about="Texts are embedded by the model's own states.", claims=_annotation("vote_k", "vote-k"), runs={"selection": _selection("vote_k")},
)  # fmt: skip

IDEAL = Paper(
    name="ideal2024", title="IDEAL: Influence-Driven Selective Annotations Empower In-Context Learners in Large Language Models",
    authors="Zhang, Xia, Wang, Chen, Liu, Wu, Liu", year=2024, arxiv="2310.10873", model="icl-mini",
    about="Texts are embedded by the model's own states.", claims=_annotation("ideal", "influence"), runs={"selection": _selection("ideal")},
)  # fmt: skip

DYNAICL = Paper(
    name="dynaicl2023",
    title="Efficient Prompting via Dynamic In-Context Learning",
    authors="Zhou, Jiang, Cotterell, Sachan",
    year=2023,
    arxiv="2305.11170",
    model="icl-mini",
    about="A query takes the fewest demonstrations at which the model is sure; the paper trains a controller for that.",
    claims=(
        PaperClaim(
            "Numbers by query beat one number at as many prompt tokens", run="numbers",
            read=valued(claimed("a number of random demonstrations by query beats one number at as many")), control="one number, same prompt tokens",
            otherwise="queries that differ more in what they need", **_PAIRED,
        ),
        PaperClaim(
            "Numbers by query beat the same numbers dealt out at random", run="numbers",
            read=valued(claimed("a number of random demonstrations by query beats the same numbers")), control="the same numbers, shuffled over queries",
            source="ours", **_PAIRED,
        ),
        PaperClaim(
            "Numbers by query beat one number at the tokens that the search took", run="numbers",
            read=valued(claimed("a number of random demonstrations by query beats one number at the tokens")), control="one number, tokens spent",
            source="ours", **_PAIRED,
        ),
    ),
    runs={
        "numbers": call("selection", quick={"n_queries": 24, "candidates": 80, "annotated": 40, "ladder": (1, 2, 4)}, full=_FULL, k=4, seeds=3,
                        task=_TASK, annotations=("random",), retrievals=("random",)),
    },
)  # fmt: skip
