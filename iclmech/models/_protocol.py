"""What a backend must offer. One file implements it per kind of TransformerLens model; nothing else knows the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

ParameterKind = Literal["k", "v", "k_bias", "v_bias", "other"]
ScoreSource = Literal["hook", "rotated", "plain", "native_rotary"]


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a model. `n_kv_heads` equals `n_heads` unless queries are grouped; `n_ctx` is the longest prompt."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int
    d_vocab: int
    n_ctx: int


@dataclass(frozen=True)
class Parameter:
    """One trainable tensor of the model, the very object that a forward pass reads.

    `layer` is None outside the blocks; `kind` is "other" for everything but the key and value projections.
    """

    name: str
    layer: int | None
    kind: ParameterKind
    tensor: nn.Parameter
    heads: int
    transposed: bool = False

    def canonical(self, value: Tensor) -> Tensor:
        """`value`, laid out like the parameter, as [n_kv_heads, d_model, d_head] (weights) or [n_kv_heads, d_head] (biases)."""
        if self.kind in ("k_bias", "v_bias"):
            return value.reshape(self.heads, -1)
        if self.kind == "other" or not self.transposed:
            return value
        return value.reshape(self.heads, -1, value.shape[-1]).transpose(1, 2)


@dataclass(frozen=True)
class ScoreWay:
    """How true pre-softmax scores are obtained: from the score hook, or as scale · q·k from a pair of hooks."""

    source: ScoreSource
    scale: float


@dataclass(frozen=True)
class Capabilities:
    """What the self-check found to be right on this very model."""

    scores: ScoreWay
    edits: Literal["pattern", "z"]
    cache: bool
    parallel: bool
    checks: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class Backend(Protocol):
    """The face that `ICLModel` needs of a TransformerLens model."""

    hooked: nn.Module
    kind: str
    shape: ModelShape
    tokenizer: Any

    def point(self, site: str, layer: int) -> nn.Module | None:
        """The HookPoint of a site, or None where the model has none."""
        ...

    def forward(
        self,
        rows: Int[Tensor, "row position"] | Float[Tensor, "row position d_model"],
        *,
        positions: Int[Tensor, "row position"] | None = None,
        cache: Any = None,
        unembed: bool = True,
    ) -> Tensor | None:
        """Logits [row, position, d_vocab]; with `unembed=False` as little of them as the model lets one compute."""
        ...

    def prefix(self, tokens: Int[Tensor, "position"] | Float[Tensor, "position d_model"]) -> Any:
        """Run a prefix, of ids or of embeddings, once; what it returns goes to `expand`."""
        ...

    def expand(self, prefix: Any, n: int) -> Any:
        """A fresh cache of `n` rows that all attend to the prefix."""
        ...

    def embed(self, tokens: Int[Tensor, "row position"]) -> Float[Tensor, "row position d_model"]:
        """Token embeddings without positions, as the model's forward accepts them in place of ids."""
        ...

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        """Final norm and unembedding of a residual state."""
        ...

    def key_value_parameters(self) -> list[Parameter]:
        """Leaves of the key and value projections, layer by layer: k, v, then their biases where present."""
        ...

    def other_parameters(self) -> list[Parameter]:
        """Every other trainable tensor that a forward pass reads, each once."""
        ...

    def weights(self, name: str) -> Tensor:
        """Stacked copies: W_Q, W_K, W_V, W_O [layer, head, ...], W_U [d_model, d_vocab], b_O [layer, d_model]."""
        ...

    def score_scales(self) -> list[float]:
        """Candidate factors between q·k and the scores, likeliest first."""
        ...

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        """Rotated (q, k) [row, position, head, d_head] where no hook shows them and the module lets one; else None."""
        ...

    def local_windows(self) -> list[int | None]:
        """For each layer, how many keys back a query may look (itself included), or None for all."""
        ...

    def processed(self) -> str | None:
        """Why the weights are not the model's own (folded, centred), or None if they are."""
        ...

    def fresh(self, seed: int) -> Backend:
        """The same architecture with every weight drawn anew by its own initialisation."""
        ...

    def shared_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Embeddings, norms and unembedding by name: what an untrained twin may keep."""
        ...


HookFn = Callable[[Tensor], Tensor | None]


def is_ids(rows: Tensor) -> bool:
    """Whether rows are token ids rather than embeddings."""
    return not torch.is_floating_point(rows)
