"""Chan et al. 2022: which properties of data make transformers learn in context."""

from __future__ import annotations

from ._paper import Paper, PaperClaim
from ._phase_diagrams import SKEW, both_under_skew, bursty, moved, phases

PAPER = Paper(
    name="chan2022",
    title="Data Distributional Properties Drive Emergent In-Context Learning in Transformers",
    authors="Chan, Santoro, Lampinen, Wang, Singh, Richemond, McClelland, Hill",
    year=2022,
    arxiv="2205.05055",
    about="Vectors with noise stand in for images of characters.",
    claims=(
        bursty("Burstiness drives in-context learning"),
        PaperClaim(
            "Many rarely occurring classes drive in-context learning",
            run="phases", read=moved("in_context", "n_classes", 128, 8192), effect="in-context accuracy, many less few classes",
            unit="accuracy", margin=0.1, control="few classes",
        ),
        PaperClaim(
            "What drives in-context learning takes from learning in weights",
            run="phases", read=moved("in_weights", "bursty", 1.0, 0.5), effect="in-weights accuracy, half bursty less bursty",
            unit="accuracy", margin=0.1, control="all sequences bursty",
            otherwise="classes enough that the weights cannot hold them all anyway",
        ),
        both_under_skew("Under a skewed distribution of classes both are learned"),
        PaperClaim("Recurrent models do not learn in context from the same data", why_not="there are no recurrent models here: every net is a transformer"),
    ),
    runs={
        "phases": phases(steps=600),
        "skew": SKEW,
    },
)  # fmt: skip
