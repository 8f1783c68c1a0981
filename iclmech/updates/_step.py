"""Where in a training run a number was computed, for the text of an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from iclmech._base import UpdateError
from iclmech.models import Parameter

ADVICE = "Lower the learning rate; if this is the first step, the model's own activations overflow: try float32."


@dataclass(frozen=True)
class Step:
    """Where in the run a number was computed, for the text of an error."""

    step: int
    n_steps: int
    lr: float

    def check_loss(self, losses: Sequence[float], layers: Sequence[int | None]) -> None:
        """Raise `UpdateError` for the first loss that is not finite."""
        for value, layer in zip(losses, layers, strict=True):
            if not math.isfinite(value):
                where = "the output" if layer is None else f"layer {layer}"
                raise UpdateError(f"the loss at {where} is {value} at {self}. {ADVICE}")

    def error(self, what: str, parameter: Parameter) -> UpdateError:
        """The error for a gradient, or a sum of steps, that is not finite."""
        where = "outside the blocks" if parameter.layer is None else f"layer {parameter.layer}"
        return UpdateError(f"the {what} {parameter.name} ({where}) is not finite at {self}. {ADVICE}")

    def __str__(self) -> str:
        return f"step {self.step + 1} of {self.n_steps}, learning rate {self.lr:g}"
