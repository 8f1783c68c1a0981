"""What `induction_heads` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import Request


@dataclass(frozen=True)
class InductionRequest(Request):
    """Induction heads on repeated random tokens."""

    model: str = "icl-mini"
    """A shipped model, a directory in Hugging Face format, or a name on the hub."""
    n_tokens: int = 50
    """Random tokens, which stand twice in a row."""
    n_rows: int = 8
    """Rows of them."""
    seed: int = 0
    """Of the random tokens."""
    level: float = 0.95
    """Level of the intervals, a bootstrap over rows."""
    device: str | None = None
    """cpu, cuda, ...; by default a GPU if there is one."""
    dtype: str = "float32"
    """float32, float64, bfloat16 or float16: what the model computes in."""


INDUCTION_HEADS = Experiment(
    name="induction-heads",
    request=InductionRequest,
    protocol="iclmech.experiments._induction_heads:run_induction",
    title="Induction heads on repeated random tokens, by two tests.",
    needs=("model",),
    result="iclmech.experiments._induction_heads:InductionHeads",
    figures="iclmech.figures:induction_figures",
)
