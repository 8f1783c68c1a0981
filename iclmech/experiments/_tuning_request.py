"""What `tuned_contexts` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class TuningRequest(ModelTaskRequest):
    """Demonstrations in the prompt with embeddings refined by gradient descent."""

    k: int = 8
    """Demonstrations per prompt."""
    n_queries: int = 64
    """Queries, the same for every seed."""
    seeds: int | tuple[int, ...] = 3
    """Draws of demonstrations: how many, or which, separated by commas."""
    radii: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    """How far a token may move, as shares of the norm of its embedding."""
    steps: int = 10
    """Gradient steps."""
    lr: float = 0.2
    """Length of a step, as a share of the radius."""
    level: float = 0.95
    """Level of the intervals."""


CONTEXT_TUNING = Experiment(
    name="context-tuning",
    request=TuningRequest,
    protocol="iclmech.experiments._tuning:run_tuning",
    title="Demonstrations with embeddings refined by gradient descent, against the same demonstrations as they are.",
    result="iclmech.experiments._tuning:TunedContexts",
    figures="iclmech.figures:tuning_figures",
)
