"""Gradient descent on the demonstrations: the loss is read at the output, gradients flow through all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, overload

from iclmech.models import ICLModel, Selector
from iclmech.tasks import PromptSet

from .._output_loss import step_at_output
from .._samples import Loss, Source
from .._trainer import Batch, Options, Training, run
from .._weight_update import WeightUpdate


@overload
def gradient_descent(model: ICLModel, prompts: Source, *, lr: float, **options: Unpack[Options]) -> WeightUpdate: ...
@overload
def gradient_descent(
    model: ICLModel, prompts: Source, *, lr: Sequence[float], **options: Unpack[Options]
) -> list[WeightUpdate]: ...
@overload
def gradient_descent(
    model: ICLModel, prompts: Sequence[PromptSet], *, lr: float, **options: Unpack[Options]
) -> list[WeightUpdate]: ...
def gradient_descent(
    model: ICLModel,
    prompts: Source | Sequence[PromptSet],
    *,
    lr: float | Sequence[float],
    loss: Loss = "label",
    parameters: Selector = "attn_kv",
    batch: Batch = "one",
    epochs: int = 1,
    progress: bool = False,
) -> WeightUpdate | list[WeightUpdate]:
    """Fine-tune on the demonstrations by plain SGD and return the weight change; the model itself stays as it was.

    Each demonstration (BOS + input + label) is its own sequence and its own step, in prompt order, without momentum or
    weight decay. The loss is the mean negative log-likelihood of the counted tokens, in nats, at the model's output.

    Args:
        model: an unprocessed model (norms not folded into the weights: a folded model is another training problem).
        prompts: a `PromptSet` with one context, a context of one (`prompts.contexts[c]`), or a list of demonstrations;
            or a list of `Sample`s, which bring losses of their own, on token ids or embedding rows. A list of
            `PromptSet`s (other labels or orders of the same demonstrations, say) gives an update for each, trained side
            by side where that can be done.
        lr: the learning rate ≥ 0, or a list of them: each starts from the model's own weights, and a list is returned.
        loss: of demonstrations: "label" counts the label's tokens only, "all" every token after BOS (Deutch et al.).
        parameters: "attn_kv" (key and value projections with their biases), "attn_v", "all", or a function
            `(name, layer) -> bool`, where layer is None outside the blocks.
        batch: "one" takes a step per demonstration, "full" one step on the mean over all demonstrations (which makes
            the result independent of their order).
        epochs: passes over the demonstrations.
        progress: show a bar on standard error.

    Returns:
        A `WeightUpdate`, deltas on the CPU in float32 (float64 for a float64 model). Half-precision weights are updated
        through a float32 sum. `update.meta["losses"]` holds the loss before every step.

    Raises:
        UpdateError: no demonstrations, several contexts, a bad learning rate, several of prompt sets and rates both, or a loss or gradient that is not finite
            (the text names layer, step and learning rate).
        ModelError: the model is folded or was loaded with processing.

    Example:
        >>> import iclmech as icl
        >>> model = icl.load_model("icl-mini")
        >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=2)
        >>> len(icl.gradient_descent(model, prompts, lr=0.03).meta["losses"])
        4

    Source: Dai et al., arXiv 2212.10559; Deutch et al., arXiv 2311.07772.
    """
    training = Training("gd", lr, loss, parameters, batch, epochs, progress, plain="through")
    return run(model, prompts, training, step_at_output)
