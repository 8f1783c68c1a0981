"""Park, Okawa, Lee, Tanaka, Lubana 2024: abilities that are there before behaviour shows them."""

from __future__ import annotations

from ._paper import Paper, PaperClaim

PAPER = Paper(
    name="park2024",
    title="Emergence of Hidden Capabilities: Exploring Learning Dynamics in Concept Space",
    authors="Park, Okawa, Lee, Tanaka, Lubana",
    year=2024,
    arxiv="2406.19370",
    claims=(
        PaperClaim(
            "An intervention elicits an ability earlier in training than behaviour shows it",
            why_not="experiment not built",
        ),
    ),
)
