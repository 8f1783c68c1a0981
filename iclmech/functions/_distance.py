"""How far answers are from each other and from the truth, in the units of a family."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from ._prompts import FunctionPrompts

UNITS = {
    "real": ("squared difference / d", "squared error / d"),
    "binary": ("|difference| of P(y = 1)", "share of wrong answers"),
    "symbols": ("total variation", "total variation to the automaton"),
}
"""By kind of family: what `distance` and `error` are."""


def distance(prompts: FunctionPrompts, a: Tensor, b: Tensor) -> Float64[Tensor, "prompt prefix"]:
    """Between two predictions: squared difference / d, |Δp|, or total variation."""
    kind = prompts.family.kind
    if kind == "real":
        return (a - b).square() / prompts.d
    return (a - b).abs() if kind == "binary" else (a - b).abs().sum(-1) / 2


def error(prompts: FunctionPrompts, answers: Tensor) -> Float64[Tensor, "prompt prefix"]:
    """Against the answers with their noise: squared error / d; the share of wrong ones; total variation to the truth."""
    kind = prompts.family.kind
    if kind == "symbols":
        return distance(prompts, answers, prompts.truth["distribution"])
    if kind == "binary":
        return ((answers > 0.5) != (prompts.targets > 0.5)).double()
    return (answers - prompts.targets).square() / prompts.d
