"""What `momentum_attention` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class MomentumRequest(ModelTaskRequest):
    """Attention with momentum: a moving average of past values added to the output of attention."""

    k: int = 16
    """Demonstrations in every context."""
    n_queries: int = 64
    """Queries, of the test split for the answer and of the training split for the choice of the rate."""
    n_contexts: int = 8
    """Demonstration sets that they stand behind."""
    etas: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
    """Rates to choose from, separated by commas."""
    draws: int = 3
    """Orders of the values in the control."""
    seed: int = 0
    """Of demonstrations and orders."""
    level: float = 0.95
    """Level of the intervals, a bootstrap over demonstration sets."""


MOMENTUM_ATTENTION = Experiment(
    name="momentum",
    request=MomentumRequest,
    protocol="iclmech.experiments._momentum:run_momentum",
    title="Does a moving average of past values, beside attention, make answers better?",
    result="iclmech.experiments._momentum:Momentum",
    figures="iclmech.figures:momentum_figures",
)
