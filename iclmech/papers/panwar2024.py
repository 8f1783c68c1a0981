"""Panwar, Ahuja, Goyal 2024: in-context learning through the Bayesian prism."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed, distances, valued

PAPER = Paper(
    name="panwar2024",
    title="In-Context Learning through the Bayesian Prism",
    authors="Panwar, Ahuja, Goyal",
    year=2024,
    arxiv="2306.04891",
    about="Learners of a mixture of two kinds of regression, and of a pool of eight tasks.",
    claims=(
        PaperClaim(
            "A learner of a mixture answers like the posterior over the mixture, not like ridge",
            run="mixture", read=distances("bayes", "ridge:matched"), effect="distance to ridge less that to the mixture's posterior",
            unit="squared difference / d", margin=0.02, control="the ridge that is nearest to the learner",
        ),
        PaperClaim(
            "A learner of a pool of tasks answers its own tasks like the posterior over the pool",
            run="pool", read=valued(claimed("answers its own tasks like the posterior")), effect="distance to ridge less that to dMMSE",
            unit="squared difference / d", margin=0.02, control="ridge",
        ),
        PaperClaim("With more tasks in the pool a learner goes over to ridge", why_not="one pool, of eight tasks, is shipped; functions.train makes others for icl.functions.task_diversity"),
    ),
    runs={
        "mixture": call("compare-predictors", quick={"n_prompts": 256}, full={"n_prompts": 1024}, model="fn-mixture", seeds=5, family="Mixture()"),
        "pool": call("task-diversity", quick={"n_prompts": 256}, full={"n_prompts": 1024}, seeds=5),
    },
)  # fmt: skip
