"""Han, Simig, Mihaylov, Tsvetkov, Celikyilmaz, Wang 2023: pretraining data that supports in-context learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import over_seeds

_PARTS = "the sequences here are of a made world: they have parts, which the result names, but no"


def _falls(setting: str, other: str) -> Callable[[Any], Reading]:
    """How much more the loss falls on the supportive set than on another one, seed by seed."""
    return lambda found: over_seeds(found.change("supportive", "nll", setting) - found.change(other, "nll", setting))


PAPER = Paper(
    name="han2023",
    title="Understanding In-Context Learning via Supportive Pretraining Data",
    authors="Han, Simig, Mihaylov, Tsvetkov, Celikyilmaz, Wang",
    year=2023,
    arxiv="2306.15091",
    model="icl-mini@step-3500",
    about="A snapshot from the middle of icl-mini's training is trained on top, on sequences of its own mixture.",
    claims=(
        PaperClaim(
            "Data with gradients like that of the in-context loss raise in-context learning more than random data",
            run="supportive", read=_falls("icl", "random"), effect="fall of the loss in context, supportive less random set", unit="nats",
            control="random sequences", otherwise="more sequences and steps",
        ),
        PaperClaim(
            "They do more than other data with gradients of the same norm",
            run="supportive", read=_falls("icl", "norm-matched"), effect="fall of the loss in context, supportive less norm-matched set",
            unit="nats", control="sequences with the same gradient norms", source="ours",
        ),
        PaperClaim(
            "They do not raise answers without demonstrations",
            run="supportive", read=_falls("zs", "random"), effect="fall of the zero-shot loss, supportive less random set", unit="nats",
            rule="below", margin=0.05, control="random sequences",
        ),
        PaperClaim("Supportive data hold more rare tokens", why_not=f"{_PARTS} long tail of tokens"),
        PaperClaim("Supportive data gain less from long-range context", why_not=f"{_PARTS} text beyond a short range"),
        PaperClaim("Supportive data are of no higher domain relevance", why_not=f"{_PARTS} domains"),
    ),
    runs={
        "supportive": call(
            "supportive", quick={"n_prompts": 24, "n_candidates": 96, "chosen": 16, "steps": 6, "length": 96}, full={"seeds": 5}, seeds=3,
            task=task_for("mini/topic-symbols", "words/language"),
        )
    },
)  # fmt: skip
