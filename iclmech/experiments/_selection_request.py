"""What `compare_selections` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class SelectionRequest(ModelTaskRequest):
    """Which demonstrations help: what was annotated, what is retrieved, and how many a query needs."""

    k: int = 4
    """Demonstrations before each query."""
    n_queries: int = 64
    """Queries, the same for every seed and method."""
    seeds: int | tuple[int, ...] = 3
    """Draws of candidates and of what is random: how many, or which, separated by commas."""
    annotations: tuple[str, ...] = ("random", "vote_k", "diversity", "facility_location", "ideal")
    """What is annotated: random, vote_k, diversity, facility_location, ideal, separated by commas."""
    retrievals: tuple[str, ...] = ("random", "balanced", "knn")
    """What stands before a query: random, balanced, knn, separated by commas."""
    candidates: int = 400
    """Training examples that are drawn for each seed, without labels."""
    annotated: int = 100
    """How many of them are annotated."""
    embeddings: str = "own"
    """own: the model's own states."""
    layer: int | None = None
    """After which block they are taken; by default the middle one."""
    pool: str = "mean"
    """mean over the tokens of a text, or last."""
    ladder: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of demonstrations among which a query gets its own; empty to leave that out."""
    thresholds: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9, 0.95)
    """A query takes the fewest demonstrations at which the model is at least this sure."""
    threshold: float = 0.9
    """The one that claims are made at."""
    level: float = 0.95
    """Level of the intervals."""


SELECTION = Experiment(
    name="selection",
    request=SelectionRequest,
    protocol="iclmech.experiments._selection:run_selections",
    title="Which demonstrations help: annotation, retrieval with the vote of its labels, and their number by query.",
    result="iclmech.experiments._selection_result:SelectionComparison",
    figures="iclmech.figures:selection_figures",
)
