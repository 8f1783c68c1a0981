"""The small net that is trained: a Llama block stack in plain PyTorch with hook points, one net or many side by side.

    ids, or rows of embeddings ──► blocks (hook points at the library's site names) ──► final norm ──► states

Its parameters carry the names of `transformers.LlamaForCausalLM`, with one more axis in front where several nets are
stacked: [model, ...]. Hooks then see the rows of all models, one model after the other: [model · row, position, ...].
Every run in a stack does the same arithmetic in the same order as the run alone. It equals it bit for bit on a CPU where
rows, places of the loss and widths are multiples of 16 (numbers that processors take at once), and to rounding elsewhere.
A stack saves what each operation costs to start: much where rows are few and narrow, nothing where they fill the caches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech._base import Guard, ModelError

from ._network_block import Block, RMSNorm, product


@dataclass(frozen=True)
class NetConfig:
    """Shape of the network.

    Attributes:
        d_mlp: width of the gated MLPs, one for all blocks or one for each; 0 is a block without MLP.
        init_std: standard deviation of every matrix at the start (norm weights are 1). None: that of a matrix is
            1/sqrt(columns), that of an embedding 1.
    """

    n_layers: int = 4
    d_model: int = 64
    n_heads: int = 4
    d_mlp: int | tuple[int, ...] = 192
    n_ctx: int = 1024
    rope_theta: float = 1000.0
    norm_eps: float = 1e-5
    init_std: float | None = 0.05

    @property
    def mlp_widths(self) -> tuple[int, ...]:
        """Width of the MLP of every block.

        >>> NetConfig(n_layers=2, d_mlp=(0, 128)).mlp_widths
        (0, 128)
        """
        return (self.d_mlp,) * self.n_layers if isinstance(self.d_mlp, int) else tuple(self.d_mlp)

    def check(self) -> None:
        """Raise `ModelError` for sizes that do not go together."""
        if self.d_model % self.n_heads or self.d_model // self.n_heads % 2:
            raise ModelError(
                f"got d_model={self.d_model} and n_heads={self.n_heads}; expected heads of one even width: rotary "
                "embeddings turn pairs."
            )
        if len(self.mlp_widths) != self.n_layers:
            raise ModelError(
                f"got MLP widths {self.d_mlp} for {self.n_layers} blocks; expected one number, or one for each."
            )

    def hf_config(self, d_vocab: int) -> dict[str, Any]:
        """The keyword arguments of `transformers.LlamaConfig` for the same network.

        Narrower MLPs are filled up with zeros, and a block without one gets an MLP of zeros: both add exactly 0.
        """
        return {
            "vocab_size": d_vocab, "hidden_size": self.d_model, "intermediate_size": max(1, *self.mlp_widths),
            "num_hidden_layers": self.n_layers, "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_heads, "max_position_embeddings": self.n_ctx, "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta, "tie_word_embeddings": False, "initializer_range": self.init_std or 0.02,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "hidden_act": "silu", "torch_dtype": "float32",
        }  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Models of a stack that go through a block together, and the hooks (site, function of a tensor) on their rows."""

    models: tuple[int, ...]
    hooks: list[tuple[str, Callable[[Tensor], Tensor | None]]]

    def placed(self, net: SmallNet, layer: int) -> Guard:
        """The hooks in force for the length of a `with` block."""

        def change(guard: Guard) -> None:
            for site, act in self.hooks:
                guard.hook(net.point(site, layer), lambda module, args, tensor, act=act: act(tensor))

        return Guard(change)


class _Table(nn.Module):
    """A matrix that is looked into (embeddings) or multiplied by (readout)."""

    def __init__(self, lead: tuple[int, ...], rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*lead, rows, width))


class _Trunk(nn.Module):
    def __init__(self, config: NetConfig, d_vocab: int, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.embed_tokens = _Table(lead, d_vocab, config.d_model)
        shape = (config.d_model, config.n_heads)
        self.layers = nn.ModuleList(Block(*shape, width, config.norm_eps, lead) for width in config.mlp_widths)
        self.norm = RMSNorm(config.d_model, config.norm_eps, lead)


class SmallNet(nn.Module):
    """A trainable net, or a stack of them. `forward` gives the normed final states; `logits` reads tokens out of them.

    Args:
        config: the shape of the net (of each net).
        d_vocab: number of tokens.
        generator: what the weights are drawn from; None draws from PyTorch's own.
        models: None is one net; a number is a stack of as many, drawn one after the other.

    Raises:
        ModelError: sizes that do not go together.

    >>> net = SmallNet(NetConfig(n_layers=1, d_model=8, n_heads=2, d_mlp=0, n_ctx=16), 5)
    >>> net.logits(net(torch.tensor([[0, 1, 2]]))).shape
    torch.Size([1, 3, 5])
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, config: NetConfig, d_vocab: int, generator: torch.Generator | None = None, models: int | None = None
    ) -> None:
        super().__init__()
        config.check()
        self.config, self.d_vocab, self.models = config, d_vocab, models
        self.parts: dict[int, list[Part]] = {}
        lead = () if models is None else (models,)
        self.model = _Trunk(config, d_vocab, lead)
        self.lm_head = _Table(lead, d_vocab, config.d_model)
        d_head = config.d_model // config.n_heads
        rates = config.rope_theta ** (-torch.arange(0, d_head, 2).float() / d_head)
        angles = torch.outer(torch.arange(config.n_ctx).float(), rates).repeat(1, 2)
        self.register_buffer("cos", angles.cos()[None, :, None, None], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None, None], persistent=False)
        self._draw(generator)
        self._name_points()

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        for number in range(self.models or 1):
            for name, parameter in self.named_parameters():
                mine = parameter if self.models is None else parameter[number]
                if mine.ndim == 2:
                    std = self.config.init_std
                    if std is None:
                        std = 1.0 if "embed_tokens" in name else mine.shape[1] ** -0.5
                    mine.normal_(0.0, std, generator=generator)

    def _name_points(self) -> None:
        self.hook_dict: dict[str, Any] = {}
        self._sites: dict[tuple[str, int], Any] = {}
        for layer, block in enumerate(self.model.layers):
            for site, name, point in block.points():  # type: ignore[operator]  # a Block
                point.name = f"blocks.{layer}.{name}"
                self.hook_dict[point.name] = self._sites[site, layer] = point

    def point(self, site: str, layer: int) -> Any:
        """The HookPoint of a site, or None where there is none of this name."""
        return self._sites.get((site, layer))

    @property
    def cfg(self) -> SimpleNamespace:
        """Sizes under the names that TransformerLens gives them."""
        c = self.config
        return SimpleNamespace(
            model_name="small net", n_layers=c.n_layers, d_model=c.d_model, n_heads=c.n_heads, d_head=c.d_model // c.n_heads,
            n_ctx=c.n_ctx, d_vocab=self.d_vocab, d_mlp=max(c.mlp_widths), act_fn="silu", normalization_type="RMS",
            positional_embedding_type="rotary", device=str(self.lm_head.weight.device), dtype=self.lm_head.weight.dtype,
        )  # fmt: skip

    def embed(self, ids: Int[Tensor, "*shared row position"]) -> Float[Tensor, "*model row position d"]:
        """Embedding rows of tokens; in a stack each model's own, of ids of its own or of shared ones."""
        weight = self.model.embed_tokens.weight
        if self.models is None:
            return F.embedding(ids, weight)
        first = torch.arange(self.models, device=ids.device)[:, None, None] * self.d_vocab
        return F.embedding(ids + first, weight.flatten(0, 1))

    def forward(
        self,
        rows: Int[Tensor, "*shared row position"] | Float[Tensor, "*shared row position d"],
        positions: Int[Tensor, "row position"] | None = None,
        last: bool = False,
    ) -> Float[Tensor, "... d"]:
        """States after the final norm.

        Args:
            rows: ids or embeddings; for a stack with a leading model axis, or without one where all models share them.
            positions: position ids, where a row does not stand at the start.
            last: only the state of the last position. The last block then computes nothing else, unless
                a hook in it wants to see it all.

        Returns:
            [*model row position d], or [*model row d] with `last`; the model axis is a stack's.

        Raises:
            ModelError: rows longer than the context.
        """
        x = rows if torch.is_floating_point(rows) else self.embed(rows)
        if self.models is not None:
            x = (x if x.ndim == 4 else x.expand(self.models, *x.shape)).flatten(0, 1)
        length = x.shape[1]
        if length > self.config.n_ctx:
            raise ModelError(f"got rows of {length} positions; this net has {self.config.n_ctx} (n_ctx).")
        cos, sin = self.cos[:, :length], self.sin[:, :length]
        if positions is not None:
            at = positions if self.models is None else positions.repeat(x.shape[0] // len(positions), 1)
            cos, sin = self.cos[0][at], self.sin[0][at]
        for layer in range(self.config.n_layers):
            x = self._block(layer, x, cos, sin, last and layer == self.config.n_layers - 1)
        x = self.model.norm(x[:, -1] if last else x)
        return x if self.models is None else x.unflatten(0, (self.models, -1))

    def _block(self, layer: int, x: Tensor, cos: Tensor, sin: Tensor, last: bool) -> Tensor:
        """One block; models whose hooks are at other sites go through it apart, as each would alone."""
        block: Any = self.model.layers[layer]
        parts = self.parts.get(layer, ())
        if len(parts) < 2:
            with parts[0].placed(self, layer) if parts else contextlib.nullcontext():
                return block(x, cos, sin, last)
        by_model = x.unflatten(0, (self.models or 1, -1))
        done = []
        for part in parts:
            index = torch.tensor(part.models, device=x.device)
            turn = (cos, sin)
            if len(cos) > 1:  # own positions of every row
                turn = tuple(angle.unflatten(0, (self.models or 1, -1))[index].flatten(0, 1) for angle in turn)
            with part.placed(self, layer):
                done.append(block(by_model[index].flatten(0, 1), *turn, last, index))
        length = min(states.shape[1] for states in done)  # with `last`, a block that is watched computes all positions
        mine = [s[:, -length:].unflatten(0, (len(p.models), -1)) for s, p in zip(done, parts, strict=True)]
        order = torch.tensor([number for part in parts for number in part.models], device=x.device).argsort()
        return torch.cat(mine)[order].flatten(0, 1)

    def logits(self, states: Float[Tensor, "*row d"]) -> Float[Tensor, "*row vocab"]:
        """Scores of every token; in a stack, states have the model axis in front."""
        return product(states, self.lm_head.weight)


def stack(nets: Sequence[SmallNet]) -> SmallNet:
    """One net with a leading model axis out of several nets of one shape (their weights are copied).

    Raises:
        ModelError: nets of different shapes, a stack among them, or none.

    >>> config = NetConfig(n_layers=1, d_model=8, n_heads=2, d_mlp=0, n_ctx=16)
    >>> both = stack([SmallNet(config, 5), SmallNet(config, 5)])
    >>> both.logits(both(torch.tensor([[0, 1, 2]]))).shape
    torch.Size([2, 1, 3, 5])
    """
    shapes = {(net.config, net.d_vocab, net.models) for net in nets}
    if len(shapes) != 1 or nets[0].models is not None:
        raise ModelError(
            f"got {len(nets)} nets of {len(shapes)} shapes; expected at least one, all of one shape, none a stack."
        )
    whole = SmallNet(nets[0].config, nets[0].d_vocab, models=len(nets))
    states = [net.state_dict() for net in nets]
    whole.load_state_dict({name: torch.stack([state[name] for state in states]) for name in states[0]})
    return whole.to(nets[0].lm_head.weight.device)


def unstack(net: SmallNet, model: int) -> SmallNet:
    """A copy of one net of a stack, on its own. Of a net that is no stack, a copy (``model`` is 0).

    Raises:
        ModelError: the stack has no such net.
    """
    n = net.models or 1
    if not -n <= model < n:
        raise ModelError(f"got model {model}; this stack has {n}, numbered from 0.")
    alone = SmallNet(net.config, net.d_vocab).to(net.lm_head.weight.device)
    weights = net.state_dict()
    alone.load_state_dict(weights if net.models is None else {name: value[model] for name, value in weights.items()})
    return alone
