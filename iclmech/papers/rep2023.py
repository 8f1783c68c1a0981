"""Fu, Yang, Wang, Lu, Zheng 2023: how representation impacts in-context learning."""

from __future__ import annotations

from ._paper import Paper, PaperClaim

_WHY = "no experiment measures in-weights and in-context components of a representation over runs yet"

PAPER = Paper(
    name="rep2023",
    title="How does representation impact in-context learning: An exploration on a synthetic task",
    authors="Fu, Yang, Wang, Lu, Zheng",
    year=2023,
    arxiv="2309.06054",
    claims=(
        PaperClaim("Over runs, what a probe reads of the context goes with the accuracy in context", why_not=_WHY),
        PaperClaim("What a probe reads of the weights does not", why_not=_WHY),
    ),
)
