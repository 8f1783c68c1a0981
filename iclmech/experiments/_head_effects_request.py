"""What the effects of heads can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class HeadEffectsRequest(ModelTaskRequest):
    """Causal indirect effects of heads: what their mean outputs do for the answer where labels were permuted."""

    k: int = 10
    """Demonstrations in every context."""
    n_queries: int = 32
    """Queries, each behind demonstrations of its own."""
    method: str = "verified"
    """verified, exact or attribution."""
    n: int | None = None
    """How many heads are looked for; 2 % by default."""
    n_random: int | None = None
    """Other heads that are run exactly, by the verified method."""
    seed: int = 0
    """Of demonstrations, permutations and the random heads."""


HEAD_EFFECTS = Experiment(
    name="head-effects",
    request=HeadEffectsRequest,
    protocol="iclmech.experiments._head_effects:run_head_effects",
    title="What every head's mean output does for the answer, where labels were permuted.",
    result="iclmech.vectors:HeadEffects",
    figures="iclmech.figures:head_effects_figures",
)
