"""The small nets that the library trains itself (`iclmech.training.SmallNet`), behind the same face."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech._base import ModelError

from .._protocol import ModelShape, Parameter, ParameterKind, ScoreDetails


def is_small_net(model: Any) -> bool:
    """Whether a model has the parts of a `SmallNet`."""
    return isinstance(model, nn.Module) and all(
        hasattr(model, name) for name in ("hook_dict", "point", "models", "logits")
    )


class SmallNetBackend:
    """One net, not a stack of them. It has no cache: prompts are run whole."""

    kind = "SmallNet"

    def __init__(self, net: Any, tokenizer: Any = None):
        if net.models is not None:
            raise ModelError(
                f"got a stack of {net.models} nets; expected one. Take one out: iclmech.training.unstack(stack, 0)."
            )
        self.hooked: Any = net
        self.tokenizer = tokenizer
        c = net.config
        self.shape = ModelShape(
            c.n_layers, c.n_heads, c.n_heads, c.d_model // c.n_heads, c.d_model, int(net.d_vocab), c.n_ctx
        )
        net.eval()

    def point(self, site: str, layer: int) -> nn.Module | None:
        return self.hooked.point(site, layer)

    def forward(
        self,
        rows: Int[Tensor, "row position"] | Float[Tensor, "row position d_model"],
        *,
        positions: Int[Tensor, "row position"] | None = None,
        cache: Any = None,
        unembed: bool = True,
    ) -> Tensor | None:
        states = self.hooked(rows, positions)
        return self.hooked.logits(states) if unembed else None

    def prefix(self, tokens: Int[Tensor, "position"]) -> Any:
        raise ModelError("a SmallNet runs prompts whole.")

    def expand(self, prefix: Any, n: int) -> Any:
        raise ModelError("a SmallNet runs prompts whole.")

    def embed(self, tokens: Int[Tensor, "row position"]) -> Float[Tensor, "row position d_model"]:
        return self.hooked.embed(tokens)

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        return self.hooked.logits(self.hooked.model.norm(resid))

    def key_value_parameters(self) -> list[Parameter]:
        found = []
        for layer, block in enumerate(self.hooked.model.layers):
            kinds: tuple[tuple[ParameterKind, Any], ...] = (
                ("k", block.self_attn.k_proj),
                ("v", block.self_attn.v_proj),
            )
            for kind, matrix in kinds:
                name = f"model.layers.{layer}.self_attn.{kind}_proj.weight"
                found.append(Parameter(name, layer, kind, matrix.weight, "out_in", self.shape.n_kv_heads))
        return found

    def other_parameters(self) -> list[Parameter]:
        taken = {id(parameter.tensor) for parameter in self.key_value_parameters()}
        found = []
        for name, tensor in self.hooked.named_parameters():
            if id(tensor) not in taken:
                layer = int(name.split(".")[2]) if name.startswith("model.layers.") else None
                found.append(Parameter(name, layer, "other", tensor))
        return found

    def weights(self, name: str) -> Tensor:
        shape, net = self.shape, self.hooked
        if name == "W_U":
            return net.lm_head.weight.detach().T
        if name == "b_O":
            return torch.zeros(shape.n_layers, shape.d_model)
        matrices = [getattr(block.self_attn, f"{name[-1].lower()}_proj").weight.detach() for block in net.model.layers]
        if name == "W_O":
            return torch.stack([w.view(shape.d_model, shape.n_heads, shape.d_head).permute(1, 2, 0) for w in matrices])
        return torch.stack([w.view(shape.n_heads, shape.d_head, shape.d_model).transpose(1, 2) for w in matrices])

    def score_scales(self) -> list[float]:
        return [1 / math.sqrt(self.shape.d_head)]

    def score_details(self) -> ScoreDetails:
        return ScoreDetails()

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        return None

    def local_windows(self) -> list[int | None]:
        return [None] * self.shape.n_layers

    def processed(self) -> str | None:
        return None

    def forget(self) -> None:
        return

    def fresh(self, seed: int) -> SmallNetBackend:
        like = self.hooked.lm_head.weight
        net = type(self.hooked)(self.hooked.config, self.shape.d_vocab, torch.Generator().manual_seed(seed))
        return SmallNetBackend(net.to(like.device, like.dtype), self.tokenizer)

    def shared_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        ends = ("embed_tokens.weight", "lm_head.weight", "norm.weight")
        return [(name, tensor) for name, tensor in self.hooked.named_parameters() if name.endswith(ends)]
