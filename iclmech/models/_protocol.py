"""What a backend must offer. One file implements it per kind of TransformerLens model; nothing else knows the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

ParameterKind = Literal["k", "v", "k_bias", "v_bias", "other"]
StorageForm = Literal["head_in_out", "out_in", "in_out", "head_out", "out", "other"]
ScoreSource = Literal["hook", "rotated", "plain", "turned"]


_HOOK_NAMES = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "z": "attn.hook_z",
    "attn_scores": "attn.hook_attn_scores",
    "attn_pattern": "attn.hook_pattern",
    "rot_q": "attn.hook_rot_q",
    "rot_k": "attn.hook_rot_k",
}


def hook_name(site: str, layer: int) -> str:
    """The name under which TransformerLens lists a site."""
    return f"blocks.{layer}.{_HOOK_NAMES[site]}"


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

    `layer` is None outside the blocks; `kind` is "other" for everything but the key and value projections, whose `form`
    says how the model stores them, `heads` by how many key heads.
    """

    name: str
    layer: int | None
    kind: ParameterKind
    tensor: nn.Parameter
    form: StorageForm = "other"
    heads: int = 1

    def canonical(self, value: Tensor) -> Tensor:
        """`value`, laid out like the parameter, by heads: see the function `canonical`."""
        return canonical(value, self.form, self.heads)


def canonical(value: Tensor, form: StorageForm, heads: int) -> Tensor:
    """A key or value projection by heads: `[kv_head, d_model, d_head]`, or `[kv_head, d_head]` for a bias; else as it is.

    Args:
        value: laid out in `form`: "head_in_out" `[kv_head, d_model, d_head]`, "out_in" `[kv_head·d_head, d_model]`,
            "in_out" `[d_model, kv_head·d_head]`, "head_out" `[kv_head, d_head]`, "out" `[kv_head·d_head]`, or "other".
        form: one of these.
        heads: how many key heads there are.

    Example:
        >>> canonical(torch.zeros(8, 5), "out_in", heads=4).shape
        torch.Size([4, 5, 2])
    """
    if form == "out_in":
        return value.unflatten(0, (heads, -1)).transpose(1, 2)
    if form == "in_out":
        return value.unflatten(1, (heads, -1)).transpose(0, 1)
    if form == "out":
        return value.unflatten(0, (heads, -1))
    return value


@dataclass(frozen=True)
class ScoreDetails:
    """What a config says about scores beside their scale.

    Attributes:
        by_layer: a further factor for every layer; empty where all are 1.
        cap: scores are cap · tanh(scores / cap); None where they are not capped.
        rotary_gain: rotation lengthens the first `rotary_dims` entries of q and of k, their product by this factor.
        rotary_dims: how many entries of a head are rotated.
    """

    by_layer: tuple[float, ...] = ()
    cap: float | None = None
    rotary_gain: float = 1.0
    rotary_dims: int = 0


@dataclass(frozen=True)
class ScoreWay:
    """How true pre-softmax scores are obtained: from the score hook, or computed from q and k.

    Attributes:
        source: the hooks that are read (`SCORE_TAPS`); "turned": q and k are rotated here, since no hook shows them so.
        scale: the factor between q·k and the scores, in the first layer.
        details: how the other layers differ, and whether scores are capped.
    """

    source: ScoreSource
    scale: float
    details: ScoreDetails = ScoreDetails()

    def scale_in(self, layer: int) -> float:
        """The factor between q·k and the scores of one layer."""
        return self.scale * (self.details.by_layer[layer] if self.details.by_layer else 1.0)


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
        """The key and value projections, layer by layer: k, v, then their biases where present."""
        ...

    def other_parameters(self) -> list[Parameter]:
        """Every other trainable tensor that a forward pass reads, each once."""
        ...

    def weights(self, name: str) -> Tensor:
        """Stacked copies: W_Q, W_K, W_V, W_O [layer, head, ...], W_U [d_model, d_vocab], b_O [layer, d_model]."""
        ...

    def score_scales(self) -> list[float]:
        """Candidate factors between q·k and the scores of the first layer, likeliest first."""
        ...

    def score_details(self) -> ScoreDetails:
        """What else makes scores out of q·k."""
        ...

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        """Rotated (q, k) [row, position, head, d_head] where no hook shows them and the module lets one; else None.

        Positions are those of the pass under way, else they count from `offset`. The last query stands at the last key.
        """
        ...

    def local_windows(self) -> list[int | None]:
        """For each layer, how many keys back a query may look (itself included), or None for all."""
        ...

    def processed(self) -> str | None:
        """Why the weights are not the model's own (folded, centred), or None if they are."""
        ...

    def forget(self) -> None:
        """Let go of tensors, with their graphs, that the model's modules keep of the last pass."""
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
