"""Gradient descent with a memory: every step goes on in the direction of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, overload

from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import ICLModel, Selector
from iclmech.tasks import PromptSet

from .._learner import State
from .._output_loss import step_at_output
from .._samples import Loss, Source
from .._trainer import Batch, Options, Training, run
from .._weight_update import WeightUpdate


@overload
def momentum_gd(
    model: ICLModel, prompts: Source, *, lr: float, momentum: float = ..., **options: Unpack[Options]
) -> WeightUpdate: ...
@overload
def momentum_gd(
    model: ICLModel, prompts: Source, *, lr: Sequence[float], momentum: float = ..., **options: Unpack[Options]
) -> list[WeightUpdate]: ...
@overload
def momentum_gd(
    model: ICLModel, prompts: Sequence[PromptSet], *, lr: float, momentum: float = ..., **options: Unpack[Options]
) -> list[WeightUpdate]: ...
def momentum_gd(
    model: ICLModel,
    prompts: Source | Sequence[PromptSet],
    *,
    lr: float | Sequence[float],
    momentum: float = 0.9,
    loss: Loss = "label",
    parameters: Selector = "attn_kv",
    batch: Batch = "one",
    epochs: int = 1,
    progress: bool = False,
) -> WeightUpdate | list[WeightUpdate]:
    """Fine-tune on the demonstrations by heavy-ball SGD: v ← momentum · v + gradient, ΔW ← ΔW − lr · v.

    Args:
        model, prompts, lr, loss, parameters, batch, epochs, progress: as in `gradient_descent`.
        momentum: in [0, 1); 0 is gradient descent.

    Returns:
        As `gradient_descent`.

    Raises:
        UpdateError: as in `gradient_descent`, and for a momentum outside [0, 1).
        ModelError: the model is folded or was loaded with processing.

    Source: Polyak, USSR Computational Mathematics and Mathematical Physics 4(5), 1964.
    """
    if not 0 <= momentum < 1:
        raise UpdateError(f"got momentum={momentum!r}; expected a number from 0 up to, but not including, 1.")

    def rule(state: State, gradient: Tensor, weight: Tensor) -> Tensor:
        state["velocity"] = momentum * state["velocity"] + gradient if state else gradient
        return state["velocity"]

    options = {"momentum": momentum}
    training = Training("momentum_gd", lr, loss, parameters, batch, epochs, progress, options=options, rule=rule)
    return run(model, prompts, training, step_at_output)
