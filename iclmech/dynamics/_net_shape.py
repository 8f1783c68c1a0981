"""The shape of the nets that the wing trains, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ._spelled import read_call, spell_call, with_knobs

if TYPE_CHECKING:
    from iclmech.training import NetConfig

N_CTX = 128


@dataclass(frozen=True)
class Net:
    """A small Llama: rotary attention without biases, an MLP in the last block alone.

    Attributes:
        mlp: width of the gated MLP in the last block; 0 is none.
        last_heads: how many heads of the last layer are active; 0 is all. The others hold zeros, which no gradient moves.
        bos: whether a learned vector stands in front of every sequence. The analyses of snapshots need it.
        encoder_bias: whether one learned vector is added to every item: without it in-context learning grows gradually.
        theta: of the rotary positions.
    """

    layers: int = 2
    d_model: int = 32
    heads: int = 1
    mlp: int = 128
    last_heads: int = 0
    bos: bool = True
    encoder_bias: bool = True
    theta: float = 10.0

    @property
    def config(self) -> NetConfig:
        """The shape as the trainer's net takes it."""
        from iclmech.training import NetConfig

        widths = (*(0,) * (self.layers - 1), self.mlp)
        return NetConfig(
            n_layers=self.layers, d_model=self.d_model, n_heads=self.heads, d_mlp=widths, n_ctx=N_CTX,
            rope_theta=self.theta, init_std=None,
        )  # fmt: skip

    @property
    def spelled(self) -> str:
        """The net as text; `net_of` reads it."""
        return spell_call("net", {f.name: getattr(self, f.name) for f in fields(self)}, Net())


def net_of(net: Net | str | None, usual: Net) -> Net:
    """A net from its text, such as "net(d_model=64)"; the usual one for None.

    Raises:
        ExperimentError: no such setting.
    """
    if not isinstance(net, str):
        return usual if net is None else net
    return with_knobs(Net(), read_call(net)[1])
