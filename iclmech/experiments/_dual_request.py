"""What `dual_form` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class DualFormRequest(ModelTaskRequest):
    """The change that demonstrations make to each head's linear map, beside the one that a weight update makes."""

    k: int = 16
    """Demonstrations of the one context."""
    n_queries: int = 16
    """Queries."""
    prompts_seed: int = 0
    """Draw of demonstrations and queries."""
    update: str = "gd"
    """The update: gd, lcgd, or a registered one."""
    lr: float = 0.01
    """Its learning rate."""
    rank: int = 4
    """Singular directions that are compared."""
    seed: int = 0
    """Of the random update."""
    prompts: str | None = None
    """Prompts of one's own (in Python only)."""


DUAL_FORM = Experiment(
    name="dual-form",
    request=DualFormRequest,
    protocol="iclmech.experiments._dual_form:run_dual_form",
    title="Each head's linear map under the demonstrations, and under a weight update.",
    needs=("model",),
    result="iclmech.experiments._dual_form:DualForm",
    figures="iclmech.figures:dual_form_figures",
)
