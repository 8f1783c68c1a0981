"""Akyürek, Wang, Kim, Andreas 2024: in-context learning of languages, and n-gram heads."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, draws, valued

_FAMILY = "Automata(states=4, symbols=8)"


def _late(result: Result) -> Reading:
    """Total variation to the automaton's own distribution, learner less 3-gram, last quarter of the string."""
    data, n = result.data, result.data.sizes["prefix"]
    late = {"prefix": slice(n - n // 4, None)}
    name = next(str(p) for p in data["predictor"].values if str(p).startswith("ngram"))
    mine, other = data["error_model"].isel(late), data["error"].sel(predictor=name).isel(late)
    low, high = data["error_model_ci"].isel(late).mean("prefix").values
    mean = float((mine - other).mean())
    half = float(high - low) / 2
    return Reading(
        mean, mean - half, mean + half, draws(result), control=name, note="interval of the learner's error alone"
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
            "The ideal n-gram pattern in the place of that head's keeps what it does",
            run="heads", read=valued(claimed("ideal", n=3)), effect="what is kept beyond a random head", unit="", control="a random head",
        ),
    ),
    runs={
        "predictors": call("compare-predictors", quick={"n_prompts": 24}, full={"n_prompts": 128, "seeds": 5}, seeds=3, family=_FAMILY, n_examples=80),
        "heads": call("ngram-heads", quick={"n_prompts": 16}, full={"n_prompts": 64}, seeds=3, family=_FAMILY),
    },
)  # fmt: skip
