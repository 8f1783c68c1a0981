"""Chan et al. 2022: which properties of data make transformers learn in context."""

from __future__ import annotations

from ._calls import call
from ._paper import Paper, PaperClaim
from .reddy2024 import both, moved

PAPER = Paper(
    name="chan2022",
    title="Data Distributional Properties Drive Emergent In-Context Learning in Transformers",
    authors="Chan, Santoro, Lampinen, Wang, Singh, Richemond, McClelland, Hill",
    year=2022,
    arxiv="2205.05055",
    about="Vectors with noise stand in for images of characters.",
    claims=(
        PaperClaim(
            "Burstiness drives in-context learning",
            run="phases", read=moved("in_context", "bursty", 0.5, 1.0), effect="in-context accuracy, bursty less half bursty",
            unit="accuracy", margin=0.1, control="half of the sequences bursty",
        ),
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
        PaperClaim(
            "Under a skewed distribution of classes both are learned",
            run="skew", read=both(), effect="the smaller of the two accuracies", unit="accuracy", rule="the experiment's own",
            control="both at least .4",
            otherwise="a longer training: a quick run ends before the context is used",
        ),
        PaperClaim("Recurrent models do not learn in context from the same data", why_not="there are no recurrent models here: every net is a transformer"),
    ),
    runs={
        "phases": call(
            "phase-diagram", quick={"steps": 600, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
            axes=("n_classes=128/8192", "bursty=0.5/1.0"),
        ),
        "skew": call(
            "phase-diagram", quick={"steps": 600, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
            world="classes(n_classes=2048, bursty=0.9)", axes=("zipf=1.0",),
        ),
    },
)  # fmt: skip
