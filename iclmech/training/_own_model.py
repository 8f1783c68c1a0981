"""A model of one's own where the trainer expects a small net."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech.models import ICLModel


class OwnModel(nn.Module):
    """An `ICLModel` as the trainer, its loss and its optimisers take a net. Training changes the model itself.

    It is slower than a `SmallNet` of the same shape and is not stacked. Interventions in training are those of the model:
    `with model.hooks(...)` around the steps.

    Args:
        model: with weights as they were trained, on one device; dropout is off, as everywhere.

    Raises:
        ModelError: weights that cannot be changed, or were folded or centred.

    >>> import iclmech as icl
    >>> import torch
    >>> from iclmech.training import Run, TokenBatch, build_optimizers, token_loss, train
    >>> module = OwnModel(icl.load_model("icl-mini"))
    >>> batches = iter([TokenBatch(torch.tensor([[0, 5, 6]]), torch.tensor([7]))] * 2)
    >>> train(Run(module, build_optimizers(module, lr=1e-3), batches, token_loss)).step
    2
    """

    models = None

    def __init__(self, model: ICLModel):
        super().__init__()
        model.require_raw()
        self.model = model
        for parameter in model.parameters("all"):
            self.register_parameter(parameter.name.replace(".", "/"), parameter.tensor.requires_grad_(True))  # type: ignore[arg-type]

    def forward(
        self, rows: Int[Tensor, "row position"] | Float[Tensor, "row position d"], last: bool = False
    ) -> Float[Tensor, "row *position vocab"]:
        """Logits of every position, or of the last one."""
        self.model.backend.forget()
        logits = self.model.forward(rows)
        return logits[:, -1] if last else logits

    def logits(self, states: Float[Tensor, "*row vocab"]) -> Float[Tensor, "*row vocab"]:
        """What `forward` gave."""
        return states
