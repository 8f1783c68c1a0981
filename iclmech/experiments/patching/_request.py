"""What `patch` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from .._experiment import Experiment
from .._request import ModelTaskRequest

SETTINGS = ("icl", "zs", "corrupted")
"""Where states come from and go to: intact demonstrations, none, or demonstrations with permuted labels."""


@dataclass(frozen=True)
class PatchRequest(ModelTaskRequest):
    """States of one run put into another: which place brings how much of the answer back."""

    sites: tuple[str, ...] = ("z",)
    """Sites, separated by commas: z (head by head), resid_post, attn_out, mlp_out, ..."""
    k: int = 16
    """Demonstrations in every context."""
    n_queries: int = 64
    """Queries, each behind demonstrations of its own."""
    source: str = "icl"
    """Where the states come from: icl, zs or corrupted (permuted labels)."""
    into: str = "zs"
    """Where they are put: icl, zs or corrupted."""
    roles: tuple[str, ...] = ("s_q",)
    """Tokens whose states are put in, role by role: s_q, x_q; with demonstrations on both sides also s, y, x, sep."""
    seed: int = 0
    """Of demonstrations, permutations and random states."""
    level: float = 0.95
    """Level of the intervals, a bootstrap over demonstration sets."""


PATCH = Experiment(
    name="patch",
    request=PatchRequest,
    protocol="iclmech.experiments.patching._protocol:run_patch",
    title="How much of the answer comes back when states of one run are put into another, place by place.",
    result="iclmech.experiments.patching._result:Patch",
    figures="iclmech.figures:patch_figures",
    page="iclmech.report.pages.patch:PAGE",
)
