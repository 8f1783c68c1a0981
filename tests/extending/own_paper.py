"""A paper of one's own: claims as data, an experiment that is called, a number that is read out of its result."""

from __future__ import annotations

import iclmech as icl
from iclmech.papers import Paper, PaperClaim, call, claimed, valued

PAPER = Paper(
    name="own2026",
    title="Three vectors at once",
    authors="Nobody",
    year=2026,
    claims=(
        PaperClaim(
            "Two given factors make the third fast",
            run="toy", read=valued(claimed("b and c")), effect="share of seeds that are faster", unit="share of seeds",
            margin=0.5, control="no factor given", otherwise="fewer steps",
        ),
        PaperClaim("It does so in brains", why_not="there are no brains here"),
    ),
    runs={"toy": call("three-factor", quick={"seeds": 2, "steps": 300}, full={"seeds": 20}, dim=8)},
)  # fmt: skip

icl.register("paper", "own2026", PAPER)
