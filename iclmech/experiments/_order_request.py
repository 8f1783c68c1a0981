"""What `order_sensitivity` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class OrderRequest(ModelTaskRequest):
    """How much predictions hang on the order of the demonstrations, in context and as an update."""

    k: int = 16
    """Demonstrations per prompt."""
    n_queries: int = 64
    """Queries, the same for every seed."""
    n_orders: int = 6
    """Orders of the demonstrations, the drawn one first."""
    seeds: int | tuple[int, ...] = 3
    """Draws of demonstrations: how many, or which, separated by commas."""
    updates: tuple[str, ...] = ()
    """Updates, separated by commas: gd, lcgd, or a registered one."""
    lr: float | str = 0.01
    """Learning rate, or gd=0.01,lcgd=0.03."""
    loss: str = "label"
    """label or all: the tokens that the updates learn from."""
    parameters: str = "attn_kv"
    """attn_kv, attn_v or all: what the updates train."""
    separator: str | None = None
    """After each demonstration (\\n for a line break, <eos> for end-of-text); by default the task's own."""
    n_boot: int = 1000
    """Of no effect any more: intervals are two-way, not resampled."""
    level: float = 0.95
    """Level of the intervals."""


ORDER = Experiment(
    name="order",
    request=OrderRequest,
    protocol="iclmech.experiments._order:run_orders",
    title="The same demonstrations in several orders, in context and as updates.",
    result="iclmech.experiments._order:OrderSensitivity",
    stored_as="iclmech order sensitivity",
    keeps=True,
)
