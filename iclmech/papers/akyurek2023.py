"""Akyürek, Schuurmans, Andreas, Ma, Zhou 2023: which learning algorithm in-context learning is."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed, readable, valued, variable

_FAMILY = "LinearRegression(d=5, noise=0.5)"


PAPER = Paper(
    name="akyurek2023",
    title="What learning algorithm is in-context learning? Investigations with linear models",
    authors="Akyürek, Schuurmans, Andreas, Ma, Zhou",
    year=2023,
    arxiv="2211.15661",
    model="fn-linear",
    about="A learner of noisy linear regression; its noise decides which ridge is the best answer.",
    claims=(
        PaperClaim(
            "Answers follow ridge regression more than nearest neighbours",
            run="predictors", read=valued(claimed("nearest neighbours")), effect="distance to nearest neighbours less that to ridge",
            unit="squared difference / d", margin=0.05, control="k nearest neighbours",
        ),
        PaperClaim(
            "Training makes answers those of ridge regression",
            run="predictors", read=valued(claimed("training made it so")), effect="distance of the untrained model to ridge less that of the learner",
            unit="squared difference / d", margin=0.05, source="ours", control="the untrained model",
        ),
        PaperClaim(
            "Answers are nearer to gradient descent than to any ridge",
            run="predictors", read=valued(claimed("than to any ridge")), effect="distance to the nearest ridge less that to the nearest descent",
            unit="squared difference / d", source="ours", control="ridge with the λ nearest to the learner",
            otherwise="early-stopped descent is shrinkage, as ridge is: the two cannot be told apart at the same shrinkage",
        ),
        PaperClaim("Answers are as near to ridge as to a second learner", source="ours",
                   why_not="one learner of this recipe is shipped; functions.train makes another, and compare-predictors takes it as second"),
        PaperClaim(
            "Answers are a linear function of the point asked",
            run="weights", read=valued(claimed("linear function")), effect="R² of the implied weights beyond .9", unit="R²", control="an R² of .9",
        ),
        PaperClaim(
            "The implied weights are those of ridge regression",
            run="weights", read=valued(claimed("that of ridge")), effect="cosine with ridge's weights less that with another prompt's",
            unit="cosine", margin=0.1, control="ridge of another prompt",
        ),
        PaperClaim(
            "The weights can be read linearly from states",
            run="probe", read=variable("read", control="independent weights"), effect="R² beyond that of weights of no relation",
            unit="R²", margin=0.05, control="independent weights", otherwise="probes over several positions: one state holds little in a small model",
        ),
        PaperClaim(
            "The moments X'y can be read linearly from states",
            run="probe", read=readable("X'y / n"), effect="R² beyond that in the untrained model",
            unit="R²", margin=0.05, control="the untrained model",
        ),
        PaperClaim("The weights can be read by small nonlinear probes", why_not="the probes here are linear"),
    ),
    runs={
        "predictors": call("compare-predictors", quick={"n_prompts": 256, "predictors": ("bayes", "knn-3", "ridge:matched", "gd:matched")}, full={"n_prompts": 1024}, family=_FAMILY, seeds=5),
        "weights": call("implicit-weights", quick={"n_prompts": 16, "prefixes": (5, 10)}, full={"n_prompts": 64}, family=_FAMILY, seeds=5),
        "probe": call("probe-weights", quick={"n_prompts": 800, "seeds": 3}, full={"n_prompts": 4000}, family=_FAMILY, seeds=5),
    },
)  # fmt: skip
