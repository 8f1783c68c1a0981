"""Akyürek, Wang, Kim, Andreas 2024: in-context learning of languages, and n-gram heads."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, draws, valued

_FAMILY = "Automata(states=4, symbols=8)"


def _late(result: Result) -> Reading:
    """Total variation to the automaton over the last quarter of the string: the learner's less that of the best n-gram."""
    data, n = result.data, result.data.sizes["prefix"]
    late = data.isel(prefix=slice(n - n // 4, None)).mean("prefix")
    best = min(
        (str(p) for p in data["predictor"].values if "ngram" in str(p)),
        key=lambda p: float(late["error"].sel(predictor=p)),
    )
    mine, other = late["error_model_ci"].values, late["error_ci"].sel(predictor=best).values
    value = float(late["error_model"] - late["error"].sel(predictor=best))
    low, high = float(mine[0] - other[1]), float(mine[1] - other[0])
    return Reading(
        value, low, high, draws(result), control=best, note="interval from two unpaired ones, so rather too wide"
    )


PAPER = Paper(
    name="akyurek2024",
    title="In-Context Language Learning: Architectures and Algorithms",
    authors="Akyürek, Wang, Kim, Andreas",
    year=2024,
    arxiv="2401.12973",
    model="fn-automata",
    about="Every string comes from a probabilistic automaton of its own.",
    claims=(
        PaperClaim(
            "The learner's predictions are better than those of n-grams",
            run="predictors", read=_late, effect="total variation to the automaton, less that of an n-gram", unit="total variation",
            rule="below", control="n-grams of the same string", otherwise="more layers or longer training: this learner has two layers",
        ),
        PaperClaim(
            "A head attends to what followed the same symbol before",
            run="heads", read=valued(claimed("attends to what followed", n=3)), effect="attention beyond uniform, best head", unit="attention",
            margin=0.1, control="uniform attention",
        ),
        PaperClaim(
            "The ideal n-gram pattern in the place of that head's does more than a uniform one",
            run="heads", read=valued(claimed("keeps more of", n=3)), effect="loss with a uniform pattern less that with the ideal one",
            unit="nats per symbol", control="the uniform pattern",
        ),
        PaperClaim(
            "The ideal n-gram pattern costs less in that head than in others",
            run="heads", read=valued(claimed("than in another head", n=3)), effect="loss with the ideal pattern in another head less that in this one",
            unit="nats per symbol", control="the mean of all other heads", source="ours",
        ),
        PaperClaim(
            "The ideal n-gram pattern keeps all that the head does",
            run="heads", read=valued(claimed("does more than the ideal pattern", n=3)), effect="loss with the ideal pattern less that with the head's own",
            unit="nats per symbol", rule="below", margin=0.01, control="the head itself", source="ours",
        ),
    ),
    runs={
        "predictors": call("compare-predictors", quick={"n_prompts": 48}, full={"n_prompts": 128, "seeds": 5}, seeds=3, family=_FAMILY, n_examples=80),
        "heads": call("ngram-heads", quick={"n_prompts": 16}, full={"n_prompts": 64}, seeds=3, family=_FAMILY),
    },
)  # fmt: skip
