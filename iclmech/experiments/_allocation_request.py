"""What `attention_allocation` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class AllocationRequest(ModelTaskRequest):
    """Attention to BOS, demonstrations and query, with and without chat template, and what steering it does."""

    k: int = 8
    """Demonstrations in every context."""
    n_queries: int = 64
    """Queries."""
    n_contexts: int = 8
    """Demonstration sets that they stand behind."""
    factor: float = 0.1
    """What the attention of chosen heads on the query's own tokens is multiplied by, so that the demonstrations gain."""
    heads: float = 0.1
    """Share of all heads that are steered: those that read the demonstrations most, on training queries."""
    seed: int = 0
    """Of demonstrations and random keys."""
    level: float = 0.95
    """Level of the intervals, a bootstrap over demonstration sets."""


ALLOCATION_OF_ATTENTION = Experiment(
    name="allocation",
    request=AllocationRequest,
    protocol="iclmech.experiments._allocation:run_allocation",
    title="Where the prediction token's attention goes, with and without chat template, and what steering it does.",
    result="iclmech.experiments._allocation:Allocation",
    figures="iclmech.figures:allocation_figures",
)
