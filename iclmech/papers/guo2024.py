"""Guo, Hu, Mei, Wang, Xiong, Savarese, Bai 2024: regression on a representation."""

from __future__ import annotations

from collections.abc import Callable

from iclmech._base import Result

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, distances, readable, valued, variable


def _pasted(variant: str) -> Callable[[Result], Reading]:
    return variable("lead", variant=variant)


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
        PaperClaim(
            "Lower layers hold the representation",
            run="probe", read=readable("features"), effect="R² of the features at the best place beyond the untrained model", unit="R²", margin=0.05,
            control="the untrained model, at its best place",
        ),
        PaperClaim(
            "Upper layers pasted onto a fresh read-in regress better than layers drawn anew",
            run="pasting", read=_pasted("random"), effect="distance to Bayes of fresh layers less that of the upper layers",
            unit="squared difference / d", control="layers of the same shape, drawn anew",
        ),
        PaperClaim(
            "Upper layers pasted onto a fresh read-in regress better than lower ones",
            run="pasting", read=_pasted("lower"), effect="distance to Bayes of lower layers less that of the upper layers",
            unit="squared difference / d", control="as many of the lower layers", source="ours",
        ),
        PaperClaim(
            "Upper layers pasted onto a fresh read-in regress better than one layer trained from scratch",
            run="pasting", read=_pasted("one layer"), effect="distance to Bayes of one new layer less that of the upper layers",
            unit="squared difference / d", control="one layer trained as long",
        ),
    ),
    runs={
        "probe": call("probe-weights", quick={"n_prompts": 600}, full={"n_prompts": 4000}, seeds=3, family="Representation(d=5, noise=0.5)"),
        "pasting": call("pasting", quick={"n_prompts": 64, "steps": 40}, full={"n_prompts": 512, "steps": 400}, seeds=3),
        "predictors": call("compare-predictors", quick={"n_prompts": 256, "predictors": ("bayes", "ridge:matched")}, full={"n_prompts": 1024}, seeds=5,
                           family="Representation(d=5, noise=0.5)"),
    },
)  # fmt: skip
