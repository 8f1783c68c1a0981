"""What `heads_that_matter` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class HeadsRequest(ModelTaskRequest):
    """Function-vector heads against induction heads: which does the task lose when they are ablated?"""

    score_tasks: tuple[str, ...] = ()
    """Tasks on which function-vector scores are measured; by default the task itself, on queries of its training split."""
    k: int = 10
    """Demonstrations in every context."""
    n_queries: int = 64
    """Queries that are answered under ablation."""
    n_contexts: int = 8
    """Demonstration sets that they stand behind."""
    n_score: int = 32
    """Queries per task for the function-vector scores, each behind demonstrations of its own."""
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    """Shares of all heads that are ablated, separated by commas."""
    exclude: float = 0.02
    """The other ranking's top share, which is left out of a ranking."""
    draws: int = 3
    """Random sets of heads of the same layers, for each ablated set."""
    method: str = "exact"
    """How function-vector scores are measured: exact, verified or attribution."""
    seed: int = 0
    """Of demonstrations, permutations, random tokens and random heads."""
    level: float = 0.95
    """Level of the intervals, a bootstrap over demonstration sets."""


HEADS_THAT_MATTER = Experiment(
    name="heads-that-matter",
    request=HeadsRequest,
    protocol="iclmech.experiments._heads_that_matter:run_heads",
    title="Which heads does learning in context need: those that write function vectors, or induction heads?",
    result="iclmech.experiments._heads_result:HeadsThatMatter",
    figures="iclmech.figures:heads_figures",
)
