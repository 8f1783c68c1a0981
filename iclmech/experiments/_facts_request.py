"""What `facts_as_gradients` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import Request


@dataclass(frozen=True)
class FactsRequest(Request):
    """Facts in the prompt against the same facts as steps of an update."""

    model: str = "icl-mini"
    """A shipped model, a directory in Hugging Face format, or a name on the hub."""
    hops: tuple[int, ...] = (1, 2)
    """Statements that lead from a thing to its place, separated by commas."""
    things: tuple[int, ...] = (1, 4)
    """Things in an episode, each asked about among statements on the others, separated by commas."""
    n_episodes: int = 12
    """Sets of facts."""
    updates: tuple[str, ...] = ("gd", "lcgd", "adamw")
    """Updates, separated by commas: gd, lcgd, adamw, or a registered one."""
    rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    """Learning rates to choose from, for every update its own."""
    steps: int = 4
    """Passes over the facts, a step for each fact."""
    n_held_out: int = 4
    """Other sets of facts, on which rates are chosen."""
    parameters: str = "all"
    """attn_kv, attn_v or all: what the updates train."""
    seed: int = 0
    """Draws the facts."""
    level: float = 0.95
    """Level of the intervals."""
    device: str | None = None
    """cpu, cuda, ...; by default a GPU if there is one."""
    dtype: str = "float32"
    """float32, float64, bfloat16 or float16: what the model computes in."""


FACTS = Experiment(
    name="facts",
    request=FactsRequest,
    protocol="iclmech.experiments._facts:run_facts",
    title="Facts in the prompt against the same facts as steps of an update, by hops and distractors.",
    needs=("model",),
    result="iclmech.experiments._facts_result:FactsComparison",
    figures="iclmech.figures:facts_figures",
)
