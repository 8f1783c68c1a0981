"""What `inference_circuit` can be asked, as plain values, and the circuit as an experiment."""

from __future__ import annotations

from dataclasses import dataclass

from .._experiment import Experiment
from .._request import ModelTaskRequest

EDGES = ("x->s", "s->y", "y->s_q", "x_q->s_q")
"""The edges of the circuit: input text to forerunner, forerunner to label, label to the query's forerunner, and the
query's text to its forerunner."""
BYPASSES = ("x+s->y", "y->x_q+s_q")
"""Wider cuts that leave no way around: the label may read the words of the input itself, and the query's words may look
labels up in the place of its forerunner."""


@dataclass(frozen=True)
class CircuitRequest(ModelTaskRequest):
    """The inference circuit: its three steps measured, then cut, against controls."""

    task: str = "mini/held-pair"
    """A shipped task, a preset (with --data), a directory or a file of records."""
    k: int = 32
    """Demonstrations per prompt."""
    n_queries: int = 128
    """Queries per seed."""
    n_contexts: int = 4
    """Demonstration sets per seed."""
    seeds: int | tuple[int, ...] = 3
    """Draws of demonstrations and queries: how many, or which, separated by commas."""
    edges: tuple[str, ...] = (*EDGES, *BYPASSES)
    """What is cut, separated by commas, such as x->s,x+s->y."""
    windows: tuple[tuple[int, int], ...] | None = None
    """Candidate windows of layers, such as 0-1,2-3; by default a quarter, half and all of the depth, sliding."""
    n_held_out: int = 64
    """Queries on which windows are chosen."""
    reference: str | None = None
    """An encoder of one's own (in Python only)."""
    untrained: bool = True
    """Measure states and attention in a freshly drawn model as well."""
    separator: str | None = None
    """After each demonstration (\\n for a line break, <eos> for end-of-text); by default the task's own."""
    selection: str = "random"
    """random or balanced: how demonstrations are drawn."""
    n_boot: int = 1000
    """Resamples of the bootstrap."""
    level: float = 0.95
    """Level of the intervals."""


CIRCUIT = Experiment(
    name="circuit",
    request=CircuitRequest,
    protocol="iclmech.experiments._inference_circuit._protocol:run_circuit",
    title="The three steps of the inference circuit: measured, then cut, against controls.",
    result="iclmech.experiments._inference_circuit._result:Circuit",
    figures="iclmech.figures:circuit_figures",
    page="iclmech.report.pages.circuit:PAGE",
    stored_as="iclmech circuit",
    keeps=True,
)
