"""Bhattamishra, Patel, Blunsom, Kanade 2024: learning to learn discrete functions."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed, valued, variable

PAPER = Paper(
    name="bhattamishra2024",
    title="Understanding In-Context Learning in Transformers and LLMs by Learning to Learn Discrete Functions",
    authors="Bhattamishra, Patel, Blunsom, Kanade",
    year=2024,
    arxiv="2310.03016",
    model="fn-conjunctions",
    about="A learner of conjunctions of six variables, on random prompts and on teaching sequences.",
    claims=(
        PaperClaim(
            "Conjunctions are answered nearly as the exact posterior does",
            run="conjunctions", read=variable("spd_mean", predictor="bayes"), effect="distance of P(y = 1) to the posterior's", unit="|difference| of P(y = 1)",
            rule="below", margin=0.09, control="exact Bayes over all conjunctions",
        ),
        PaperClaim(
            "Conjunctions are answered by more than nearest neighbours",
            run="conjunctions", read=valued(claimed("nearest neighbours")), effect="distance to nearest neighbours less that to Bayes",
            unit="|difference| of P(y = 1)", margin=0.02, control="nearest neighbours", source="ours",
        ),
        PaperClaim(
            "On a teaching sequence the function is known after few examples",
            run="teaching", read=variable("spd", predictor="bayes", prefix=3), effect="distance of P(y = 1) to the posterior's behind three examples", unit="|difference| of P(y = 1)",
            rule="below", margin=0.05, control="exact Bayes, which is sure by then",
        ),
        PaperClaim("Parities are not learned in context", why_not="no learner of parities is shipped: a learner that fails shows little of learning; functions.train can be given Parities"),
    ),
    runs={
        "conjunctions": call("compare-predictors", quick={"n_prompts": 256, "predictors": ("bayes", "knn-1")}, full={"n_prompts": 1024}, seeds=5,
                             family="Conjunctions(d=6)", n_examples=14),
        "teaching": call("compare-predictors", quick={"n_prompts": 256}, full={"n_prompts": 1024}, seeds=5,
                         family="TeachingSequences(d=6)", n_examples=14, predictors=("bayes",), untrained=False),
    },
)  # fmt: skip
