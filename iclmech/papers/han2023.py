"""Han, Simig, Mihaylov, Tsvetkov, Celikyilmaz, Wang 2023: pretraining data that supports in-context learning."""

from __future__ import annotations

from ._paper import Paper, PaperClaim

_WHY = "experiment not built"

PAPER = Paper(
    name="han2023",
    title="Understanding In-Context Learning via Supportive Pretraining Data",
    authors="Han, Simig, Mihaylov, Tsvetkov, Celikyilmaz, Wang",
    year=2023,
    arxiv="2306.15091",
    claims=(
        PaperClaim(
            "Training on data whose gradient is like that of the in-context loss raises in-context learning more than random data",
            why_not=_WHY,
        ),
        PaperClaim("It does not raise zero-shot accuracy", why_not=_WHY),
        PaperClaim("Supportive data holds more rare tokens", why_not=_WHY),
        PaperClaim("Supportive data gains less from long-range context", why_not=_WHY),
        PaperClaim("Supportive data is of no higher domain relevance", why_not=_WHY),
    ),
)
