"""Shen, Mishra, Khashabi 2024: the order of demonstrations, and outputs token by token."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, unpaired, valued


def _less_alike(result: Result) -> Reading:
    return unpaired(result, ("token_overlap", {"pair": "icl~icl:reordered"}), ("token_overlap", {"pair": "icl~ft:gd"}))


def _farther(result: Result) -> Reading:
    return unpaired(result, ("label_js", {"pair": "icl~ft:gd"}), ("label_js", {"pair": "icl~icl:reordered"}))


def _order_gap(result: Result) -> Reading:
    return unpaired(result, ("sensitivity_labels", {"setting": "icl"}), ("sensitivity_labels", {"setting": "ft:gd"}))


PAPER = Paper(
    name="shen2024",
    title="Do pretrained Transformers Learn In-Context by Gradient Descent?",
    authors="Shen, Mishra, Khashabi",
    year=2024,
    arxiv="2310.08540",
    model="icl-mini",
    about="The update takes one step per demonstration, in the order of the prompt.",
    claims=(
        PaperClaim(
            "ICL hangs more on the order of the demonstrations than gradient descent does",
            run="orders", read=_order_gap, effect="order sensitivity of ICL less that of GD", unit="probability of label words, SD over orders",
            control="the same orders under GD", otherwise="steps small enough that their order matters more, or several passes",
        ),
        PaperClaim(
            "ICL and GD agree less on the most probable tokens than ICL with itself in another order",
            run="orders", read=_less_alike, effect="overlap of the top 10 tokens", unit="share",
            control="ICL in another order",
        ),
        PaperClaim(
            "The label distributions of ICL and GD lie farther apart than those of ICL in two orders",
            run="orders", read=_farther, effect="Jensen–Shannon divergence", unit="nats", control="ICL in another order",
        ),
        PaperClaim(
            "ICL gives the same answer in another order more often than GD gives ICL's answer",
            run="orders", read=valued(claimed("more often than with ft:gd")), effect="share of the same answers, paired by query",
            unit="share of queries", margin=0.05, source="ours", control="ICL in another order",
        ),
    ),
    runs={
        "orders": call(
            "order", quick={"n_queries": 40, "n_orders": 4}, full={"n_queries": 128, "n_orders": 6, "seeds": 5},
            task=task_for("mini/sentiment", "words/language"), updates=("gd",), lr=0.01, seeds=3,
        )
    },
)  # fmt: skip
