"""What papers ask of diagrams of memory against context: their runs, their claims, and how numbers are read off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iclmech._base import Result

from ._calls import call
from ._paper import Asking, PaperClaim, Reading
from ._readings import in_every_run, over_seeds

SKEW = call(
    "phase-diagram", quick={"steps": 600, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
    world="classes(n_classes=2048, bursty=0.9)", axes=("zipf=1.0",),
)  # fmt: skip
"""One cell, with classes of very unequal frequency."""


def phases(steps: int) -> Callable[[Asking], Result]:
    """Few and many classes, all or half of the sequences bursty. `steps`: of a quick run."""
    return call(
        "phase-diagram", quick={"steps": steps, "rows": 128, "batch": 24}, full={"steps": 1500, "seeds": 5}, seeds=3,
        axes=("n_classes=128/8192", "bursty=0.5/1.0"),
    )  # fmt: skip


def bursty(text: str) -> PaperClaim:
    """That burstiness makes nets learn in context, in these words; of a run called "phases"."""
    return PaperClaim(
        text, run="phases", read=moved("in_context", "bursty", 0.5, 1.0), effect="in-context accuracy, bursty less half bursty",
        unit="accuracy", margin=0.1, control="half of the sequences bursty",
    )  # fmt: skip


def both_under_skew(text: str) -> PaperClaim:
    """That context and weights are both used where few classes are frequent, in these words; of a run called "skew"."""
    return PaperClaim(
        text, run="skew", read=both(), effect="the smaller of the two accuracies", unit="accuracy", rule="the experiment's own",
        control="both at least .4", otherwise="a longer training: a quick run ends before the context is used",
    )  # fmt: skip


def moved(test_set: str, axis: str, first: Any, last: Any, **at: Any):
    """How much an accuracy differs between two values of a knob, seed by seed, at the rest of the grid."""

    def read(diagram: Any) -> Reading:
        values = diagram.data["accuracy"].sel(test_set=test_set, **at)
        step = values.sel({axis: last}) - values.sel({axis: first})
        return over_seeds(step.mean([d for d in step.dims if d != "seed"]).values)

    return read


def both(share: float = 0.4):
    """The smaller of the accuracies in context and from the weights, seed by seed."""

    def read(diagram: Any) -> Reading:
        import numpy as np

        values = diagram.data["accuracy"].sel(test_set=[diagram.ability, "in_weights"])
        found = values.min("test_set").isel({d: 0 for d in values.dims if d not in ("seed", "test_set")}).values
        return in_every_run(found, np.asarray(found) >= share, f"both at least {share:g}")

    return read
