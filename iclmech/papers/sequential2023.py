"""Campbell et al. 2023: functions of a sliding window over a sequence."""

from __future__ import annotations

from ._paper import Paper, PaperClaim

_WHY = "no learner of sliding-window functions is shipped; functions.train can be given the family Sequential"

PAPER = Paper(
    name="sequential2023",
    title="Can Transformers Learn Sequential Function Classes In Context?",
    authors="Campbell, Guo, Hu, Vir, Hsiao",
    year=2023,
    arxiv="2312.12655",
    claims=(
        PaperClaim("Sliding-window functions are learned in context", why_not=_WHY),
        PaperClaim("The error rises with the randomness of labels, and stays below that of no learning", why_not=_WHY),
    ),
)
