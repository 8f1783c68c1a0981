"""A step on the loss read at the model's output, whose gradients flow through all layers."""

from __future__ import annotations

from torch import Tensor

from ._learner import Gradients, Learner, add_share
from ._samples import Sample, batch_loss, batches_of, rows_of
from ._step import Step


def step_at_output(learner: Learner, samples: list[Sample], now: Step) -> float:
    """One step on the mean over `samples`; the loss before it."""
    total: Gradients = {}
    losses: list[float] = []
    batches = batches_of(samples)
    for batch in batches:
        loss, gradients = _gradients(learner, batch, now)
        losses.append(loss)
        add_share(total, gradients, len(batches))
    learner.step(total, now.lr)
    return sum(losses) / len(losses)


def _gradients(learner: Learner, batch: list[Sample], now: Step) -> tuple[float, Gradients]:
    model, top = learner.model, learner.model.shape.n_layers - 1
    kept: list[Tensor] = []
    with model.hooks([("resid_post", top, kept.append)]):
        model.forward(rows_of(model, batch), unembed=False)
    value = batch_loss(model.readout(kept[0][:, batch[0].positions]), batch)  # the logits, where they count
    now.check_loss([value.item()], [None])
    return value.item(), learner.gradients(value, learner.parameters)
