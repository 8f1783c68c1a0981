"""Liu, Ye, Xing, Zou 2024: in-context vectors."""

from __future__ import annotations

from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, in_every_run, unpaired, valued


def _log_prob(steering: Any, control: str) -> Any:
    """Log-probability of the answer over strengths, seed by seed, at the chosen layer of each."""
    values = steering.data["log_prob"].sel(setting="vector", control=control)
    return values.mean("layer") if "layer" in values.dims else values


def _monotone(steering: Any) -> Reading:
    """Spearman's correlation of strength and log-probability, through zero."""
    from scipy.stats import spearmanr

    curve = _log_prob(steering, "none").transpose("seed", "strength").values
    strengths = steering.data["strength"].values
    ranked: Any = spearmanr
    found = [float(ranked(strengths, row).statistic) for row in curve]
    return in_every_run(found, [r >= 0.9 for r in found], "rank correlation with the strength at least .9")


def _against_context(steering: Any) -> Reading:
    vector, context = ({"setting": s, "control": "none"} for s in ("vector", "icl"))
    return unpaired(steering, ("accuracy_chosen", vector), ("accuracy_chosen", context))


PAPER = Paper(
    name="liu2024",
    title="In-context Vectors: Making In Context Learning More Effective and Controllable Through Latent Space Steering",
    authors="Liu, Ye, Xing, Zou",
    year=2024,
    arxiv="2311.06668",
    model="icl-mini",
    about="Two classes are the two sides of the pairs; the vector acts in all layers.",
    claims=(
        PaperClaim(
            "The vector does at least as well as the demonstrations in context",
            run="steering", read=_against_context, effect="accuracy with the vector less that in context", unit="accuracy", margin=-0.05,
            control="the demonstrations in the prompt", otherwise="a task of style, as in the paper, rather than of labels",
        ),
        PaperClaim(
            "The vector does more than a random one of the same length",
            run="steering", read=valued(claimed("does more than a random")), effect="accuracy, paired by query", unit="accuracy",
            margin=0.02, source="ours", control="random vectors at the same strength",
        ),
        PaperClaim(
            "The answer follows the strength of the vector, through zero",
            run="steering", read=_monotone, effect="rank correlation of strength and log-probability", unit="rank correlation",
            rule="the experiment's own", source="ours", control="strength zero and below",
        ),
        PaperClaim("Vectors of two tasks can be added", why_not="no experiment adds vectors of two tasks yet; vectors have + and -"),
    ),
    runs={
        "steering": call(
            "steer", quick={"n_queries": 32, "seeds": 5, "n_fit": 16, "strengths": (-0.1, -0.03, 0.0, 0.03, 0.1), "n_permutations": 2}, full={"n_queries": 128, "seeds": 5},
            task=task_for("mini/sentiment", "words/opposite"), method="in_context", k=16, seeds=3,
        )
    },
)  # fmt: skip
