"""What `compare_updates` of a learner of functions can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from iclmech.experiments import Experiment

from ._function_request import FunctionRequest


@dataclass(frozen=True)
class FunctionUpdatesRequest(FunctionRequest):
    """In-context learning against weight updates of the learner itself, in function and in states."""

    seeds: int | tuple[int, ...] = 20
    """Tasks, each one function: how many, or which, separated by commas."""
    n_prompts: int = 48
    """Fresh points asked of every task."""
    n_examples: int = 10
    """Pairs that are learned from, in context or as an update."""
    updates: tuple[str, ...] = ("gd", "lcgd")
    """Updates, separated by commas."""
    parameters: str = "all"
    """all or attn_kv: what they train."""
    rates: tuple[float, ...] = (0.002, 0.005, 0.01, 0.02)
    """Learning rates, separated by commas; each update is judged at the one with the least test error."""
    epochs: int = 150
    """Steps on all pairs together."""
    draws: int = 2
    """Random weight changes that move the states as far, for each update."""


COMPARE_UPDATES = Experiment(
    name="compare-updates",
    request=FunctionUpdatesRequest,
    protocol="iclmech.functions._updates_compared:run_updates",
    title="In-context learning of functions against weight updates: the same function, or the same mechanism?",
    needs=("model", "family"),
    result="iclmech.functions._updates_result:FunctionUpdates",
    figures="iclmech.figures._by_kind:function_update_figures",
)
