"""Guo, Hu, Mei, Wang, Xiong, Savarese, Bai 2024: regression on a representation."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed, distances, valued

PAPER = Paper(
    name="guo2024",
    title="How Do Transformers Learn In-Context Beyond Simple Functions? A Case Study on Learning with Representations",
    authors="Guo, Hu, Mei, Wang, Xiong, Savarese, Bai",
    year=2024,
    arxiv="2310.10616",
    model="fn-representation",
    about="Values are linear in a fixed random network of the inputs.",
    claims=(
        PaperClaim(
            "Answers are those of ridge regression on the representation, not on the inputs",
            run="predictors", read=distances("bayes", "ridge:matched"), effect="distance to ridge on the inputs less that to ridge on the representation",
            unit="squared difference / d", margin=0.02, control="the ridge on the inputs that is nearest to the learner",
        ),
        PaperClaim(
            "The learner learns in context",
            run="predictors", read=valued(claimed("learns in context")), effect="error without examples less that with all", unit="squared error / d",
            margin=0.1, control="the learner without examples", source="ours",
        ),
        PaperClaim("Lower layers hold the representation, upper layers regress on it (probes by layer)", why_not="experiment not built"),
        PaperClaim("Upper layers pasted onto a fresh representation regress on it", why_not="experiment not built"),
    ),
    runs={
        "predictors": call("compare-predictors", quick={"n_prompts": 256}, full={"n_prompts": 1024}, seeds=5,
                           family="Representation(d=5, noise=0.5)"),
    },
)  # fmt: skip
