"""The usual batch and its loss: cross-entropy of tokens at chosen places."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ._network import SmallNet
from ._own_model import OwnModel


@dataclass(frozen=True)
class TokenBatch:
    """Rows to read, and tokens to predict at some of their positions.

    For a stack every tensor has a leading model axis, or none where all models share it; the loss is taken at as many
    places in every model.

    Attributes:
        rows: ids [row, position], or embeddings [row, position, d].
        at: places, counted through the rows: row · length + position. None: the last position of every row, which
            spares the last block all others.
        targets: the token to predict at each place.
        weights: of the places; None weighs all alike.
        scored: places whose accuracy is measured; None is all.
    """

    rows: Int[Tensor, "*model row position"] | Float[Tensor, "*model row position d"]
    targets: Int[Tensor, "*model place"]
    at: Int[Tensor, "*model place"] | None = None
    weights: Float[Tensor, "*model place"] | None = None
    scored: Bool[Tensor, "*model place"] | None = None


def token_loss(net: SmallNet | OwnModel, batch: TokenBatch) -> dict[str, Tensor]:
    """Mean cross-entropy in nats and accuracy (a fraction; NaN where nothing is scored); [model] for a stack.

    >>> from iclmech.training import NetConfig
    >>> net = SmallNet(NetConfig(n_layers=1, d_model=8, n_heads=2, d_mlp=0, n_ctx=8), 5)
    >>> found = token_loss(net, TokenBatch(torch.tensor([[0, 1], [0, 2]]), torch.tensor([3, 4])))
    >>> found["loss"].shape, found["accuracy"].shape
    (torch.Size([]), torch.Size([]))
    """
    if batch.at is None:
        states = net(batch.rows, last=True)
    else:
        states = net(batch.rows)
        states = states.reshape(-1, states.shape[-1])[_places(net, batch.at, states)]
        states = states if net.models is None else states.unflatten(0, (net.models, -1))
    logits = net.logits(states)
    targets = batch.targets.expand(logits.shape[:-1])
    each = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none").view(
        targets.shape
    )
    loss = each.mean(-1) if batch.weights is None else (each * batch.weights).sum(-1) / batch.weights.sum(-1)
    right = (logits.detach().argmax(-1) == targets).float()
    if batch.scored is None:
        return {"loss": loss, "accuracy": right.mean(-1)}
    return {"loss": loss, "accuracy": (right * batch.scored).sum(-1) / batch.scored.sum(-1)}


def _places(net: SmallNet | OwnModel, at: Tensor, states: Tensor) -> Int[Tensor, " place"]:
    """Places counted through the rows of all models."""
    if net.models is None:
        return at
    first = torch.arange(net.models, device=at.device)[:, None] * (states.shape[1] * states.shape[2])
    return (at + first).reshape(-1)
