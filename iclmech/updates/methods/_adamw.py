"""AdamW: steps of about the same size for every weight, whatever the size of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, overload

import torch
from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import ICLModel, Selector
from iclmech.tasks import PromptSet

from .._learner import State
from .._output_loss import step_at_output
from .._samples import Loss, Source
from .._trainer import Batch, Options, Training, run
from .._weight_update import WeightUpdate


class AdamWOptions(Options, total=False):
    """The keyword arguments of `adamw` besides `lr`."""

    betas: tuple[float, float]
    eps: float
    weight_decay: float


@overload
def adamw(model: ICLModel, prompts: Source, *, lr: float, **options: Unpack[AdamWOptions]) -> WeightUpdate: ...
@overload
def adamw(
    model: ICLModel, prompts: Source, *, lr: Sequence[float], **options: Unpack[AdamWOptions]
) -> list[WeightUpdate]: ...
@overload
def adamw(
    model: ICLModel, prompts: Sequence[PromptSet], *, lr: float, **options: Unpack[AdamWOptions]
) -> list[WeightUpdate]: ...
def adamw(
    model: ICLModel,
    prompts: Source | Sequence[PromptSet],
    *,
    lr: float | Sequence[float],
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    loss: Loss = "label",
    parameters: Selector = "attn_kv",
    batch: Batch = "one",
    epochs: int = 1,
    progress: bool = False,
) -> WeightUpdate | list[WeightUpdate]:
    """Fine-tune on the demonstrations by AdamW, with the defaults of PyTorch.

    A weight whose gradient is nothing but rounding moves as far as any other unless `eps` is above that rounding: the
    key biases of models without rotary positions are such weights.

    Args:
        model, prompts, lr, loss, parameters, batch, epochs, progress: as in `gradient_descent`.
        betas: decay of the mean of gradients and of their squares, each in [0, 1).
        eps: added to the root of the mean square, > 0.
        weight_decay: share of W, times lr, that every step takes away, ≥ 0.

    Returns:
        As `gradient_descent`.

    Raises:
        UpdateError: as in `gradient_descent`, and for betas, eps or weight decay outside their range.
        ModelError: the model is folded or was loaded with processing.

    Source: Loshchilov, Hutter, arXiv 1711.05101.
    """
    mean, square = betas
    if not (0 <= mean < 1 and 0 <= square < 1 and eps > 0 and weight_decay >= 0):
        raise UpdateError(
            f"got betas={betas}, eps={eps}, weight_decay={weight_decay}; expected betas in [0, 1), eps > 0 and a decay ≥ 0."
        )

    def rule(state: State, gradient: Tensor, weight: Tensor) -> Tensor:
        if not state:
            state.update(n=torch.zeros(()), mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
        n = int(state["n"].add_(1))
        state["mean"].lerp_(gradient, 1 - mean)
        state["square"].mul_(square).addcmul_(gradient, gradient, value=1 - square)
        root = (state["square"] / (1 - square**n)).sqrt() + eps
        return state["mean"] / (1 - mean**n) / root + weight_decay * weight

    options = {"betas": list(betas), "eps": eps, "weight_decay": weight_decay}
    training = Training("adamw", lr, loss, parameters, batch, epochs, progress, options=options, rule=rule)
    return run(model, prompts, training, step_at_output)
