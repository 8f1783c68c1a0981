"""A stack of small nets with what a world needs around them: encoder or table of items, labels, the first position.

items ──► encoder (linear, bias), or learned table ─┐
labels ─► the net's own embeddings ─────────────────┴─► [BOS] x₁ y₁ … x_N y_N x_q ──► net ──► logits of the labels
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclmech._base import rng
from iclmech.experiments import ExperimentError
from iclmech.training import SmallNet, stack
from iclmech.training._network_block import product

from ._labelled_sequences import Sequences
from ._net_shape import N_CTX, Net
from ._world import World

_UNIT = 16  # widths are multiples of it, so that a run in a stack equals the run alone to the bit


class WorldNet(nn.Module):
    """As many nets as there are seeds, each drawn from its own seed alone.

    Args:
        world: what the nets read; one of several of the same shape.
        shape: of each net.
        seeds: one for each net of the stack.

    Raises:
        ExperimentError: a world and a net that do not go together.
    """

    def __init__(self, world: World, shape: Net, seeds: Sequence[int]):
        super().__init__()
        _check(world, shape)
        self.shape, self.models = shape, len(seeds)
        self.pairs, self.n_labels = world.pairs, world.n_labels
        vocabulary = -(-world.n_labels // _UNIT) * _UNIT
        self.net = stack([_silenced(SmallNet(shape.config, vocabulary, rng(s, "dynamics/net")), shape) for s in seeds])
        drawn = [_around(world, shape, seed) for seed in seeds]
        for name in drawn[0]:
            self.register_parameter(name, nn.Parameter(torch.stack([mine[name] for mine in drawn])))

    @property
    def table(self) -> nn.Parameter | None:
        """The learned table of items, where the world's items are tokens."""
        return getattr(self, "items", None)

    def encode(self, items: Tensor) -> Float[Tensor, "model row place d"]:
        """Items as the net reads them. Vectors for a world of tokens stand in place of rows of the table."""
        if self.table is None:
            x = product(items, self.encoder)  # type: ignore[arg-type]  # a parameter
        elif torch.is_floating_point(items):
            x = items
        else:
            first = torch.arange(self.models)[:, None, None] * self.table.shape[1]
            x = nn.functional.embedding(items + first, self.table.flatten(0, 1))
        return x + self.bias[:, None, None] if hasattr(self, "bias") else x  # type: ignore[index]

    def embed(self, batch: Sequences) -> Float[Tensor, "model row position d"]:
        """The rows that go into the net."""
        x, y = self.encode(batch.items), self.net.embed(batch.labels)
        rows = torch.stack([x[:, :, :-1], y], 3).flatten(2, 3)
        parts = [rows, x[:, :, -1:]]
        if hasattr(self, "bos"):
            parts.insert(0, self.bos[:, None, None].expand(-1, rows.shape[1], 1, -1))  # type: ignore[index]
        return torch.cat(parts, 2)

    def read(self, states: Float[Tensor, "model row d"]) -> Float[Tensor, "model row label"]:
        """Logits of the labels."""
        return self.net.logits(states)[..., : self.n_labels]


def _check(world: World, shape: Net) -> None:
    if world.n_items and shape.d_model != getattr(world, "width", shape.d_model):
        raise ExperimentError(
            f"got a net of d_model={shape.d_model} for {world.spelled}; expected one as wide as the embeddings. Set the "
            f"world's width to {shape.d_model}."
        )
    needed = 2 * world.pairs + 1 + shape.bos
    if needed > N_CTX:
        raise ExperimentError(f"got pairs={world.pairs}: {needed} positions; these nets read {N_CTX}.")
    if not 0 <= shape.last_heads <= shape.heads:
        raise ExperimentError(f"got last_heads={shape.last_heads} of heads={shape.heads}; expected at most as many.")


def _around(world: World, shape: Net, seed: int) -> dict[str, Tensor]:
    """Encoder or table, and BOS, of one net."""
    generator, found = rng(seed, "dynamics/encoder"), {}
    if world.item_width is None:
        found["items"] = torch.randn(world.n_items, shape.d_model, generator=generator)
    else:
        found["encoder"] = torch.randn(shape.d_model, world.item_width, generator=generator)
    bias = 0.5 * torch.randn(shape.d_model, generator=generator)
    if shape.encoder_bias:
        found["bias"] = bias
    bos = torch.randn(shape.d_model, generator=generator)
    return found | {"bos": bos} if shape.bos else found


@torch.no_grad()
def _silenced(net: SmallNet, shape: Net) -> SmallNet:
    """Heads of the last layer that are not active get values and outputs of zero; no gradient ever reaches those."""
    if shape.last_heads:
        attention = net.model.layers[-1].self_attn
        first = shape.last_heads * (shape.d_model // shape.heads)
        attention.v_proj.weight[first:] = 0.0  # type: ignore[union-attr,index]
        attention.o_proj.weight[:, first:] = 0.0  # type: ignore[union-attr,index]
    return net
