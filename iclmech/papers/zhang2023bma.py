"""Zhang, Zhang, Yang, Wang 2023: in-context learning as Bayesian model averaging, by its regret."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from ._readings import claimed, valued

PAPER = Paper(
    name="zhang2023bma",
    title="What and How does In-Context Learning Learn? Bayesian Model Averaging, Parameterization, and Generalization",
    authors="Zhang, Zhang, Yang, Wang",
    year=2023,
    arxiv="2305.19420",
    model="fn-pool8",
    about="Regret in nats against whoever knows the function, on a pool of eight functions.",
    claims=(
        PaperClaim(
            "Model averaging loses at most the log of the number of functions",
            run="regret", read=claimed("at most log M"), effect="largest regret of the exact posterior", unit="nats",
            rule="the experiment's own", control="log M",
        ),
        PaperClaim(
            "The learner loses no more than log M beyond the posterior mean",
            run="regret",
            read=valued(claimed("loses more than Bayes")),
            effect="cumulative regret less that of the posterior mean; both answer with one number",
            unit="nats",
            rule="below",
            margin=2.0794,
            control="log M = 2.08 nats, M = 8",
            otherwise="a learner nearer to the posterior: it pays for what it has not learned in every example",
        ),
        PaperClaim(
            "The learner loses more than exact model averaging",
            run="regret", read=valued(claimed("loses more than Bayes")), effect="cumulative regret less that of the posterior", unit="nats",
            source="ours", control="the posterior mean",
        ),
    ),
    runs={
        "regret": call("regret", quick={"n_prompts": 256}, full={"n_prompts": 1024}, seeds=5,
                       family="TaskPool(base=LinearRegression(d=5, noise=0.5), n_tasks=8)"),
    },
)  # fmt: skip
