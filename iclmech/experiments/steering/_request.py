"""What `steer` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from .._experiment import Experiment
from .._request import ModelTaskRequest


@dataclass(frozen=True)
class SteerRequest(ModelTaskRequest):
    """A vector in the place of the context: by layer and strength, with controls."""

    method: str = "task"
    """task, function, in_context or learned: how the vector is made."""
    variant: str = ""
    """function: sum or distributed; in_context: mean, released or pc. By default the first."""
    k: int = 16
    """Demonstrations per prompt."""
    n_queries: int = 64
    """Test queries, the same for every seed."""
    seeds: int | tuple[int, ...] = 3
    """Draws of demonstrations: how many, or which, separated by commas."""
    strengths: tuple[float, ...] = ()
    """Strengths, separated by commas; by default the method's own."""
    layers: tuple[int, ...] = ()
    """Layers, separated by commas; by default all (of a learned vector in a deep model, eight)."""
    wrong_task: str | None = None
    """Another task for the control; by default another one of the same source, else one of words/."""
    n_fit: int = 32
    """Training queries that a vector is made of, each behind demonstrations of its own."""
    n_held_out: int = 16
    """Training queries on which the layer is chosen."""
    n_random: int = 3
    """Random vectors of the same length; function: also draws of other heads."""
    n_permutations: int = 5
    """Permutations of the labels."""
    n_heads: int = 0
    """function: how many heads; by default 2 % of them."""
    steps: int = 60
    """learned: steps of the optimiser."""
    level: float = 0.95
    """Level of the intervals."""


STEER = Experiment(
    name="steer",
    request=SteerRequest,
    protocol="iclmech.experiments.steering._protocol:run_steering",
    title="A vector in the place of the context: by layer and strength, with controls.",
    result="iclmech.experiments.steering._result:Steering",
    figures="iclmech.figures:steering_figures",
    page="iclmech.report.pages.steer:PAGE",
)
