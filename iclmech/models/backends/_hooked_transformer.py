"""HookedTransformer of TransformerLens 3.9, behind the same face."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech._base import ModelError

from .._protocol import ModelShape, Parameter, ScoreDetails, hook_name, is_ids
from ._processed_weights import centred_or_folded


class HookedBackend:
    """A `HookedTransformer` loaded without processing. It has no cache here: prompts are run whole."""

    kind = "HookedTransformer"

    def __init__(self, model: Any, tokenizer: Any = None, biases: bool | None = None):
        self.hooked = model
        self.tokenizer = tokenizer if tokenizer is not None else model.tokenizer
        cfg = model.cfg
        self.shape = ModelShape(
            n_layers=int(cfg.n_layers),
            n_heads=int(cfg.n_heads),
            n_kv_heads=int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads),
            d_head=int(cfg.d_head),
            d_model=int(cfg.d_model),
            d_vocab=int(cfg.d_vocab),
            n_ctx=int(cfg.n_ctx),
        )
        self._grouped = self.shape.n_kv_heads != self.shape.n_heads
        self._biases = _has_biases(model, "_" if self._grouped else "") if biases is None else biases
        model.eval()

    def point(self, site: str, layer: int) -> nn.Module | None:
        return self.hooked.hook_dict.get(hook_name(site, layer))

    def forward(
        self,
        rows: Int[Tensor, "row position"] | Float[Tensor, "row position d_model"],
        *,
        positions: Int[Tensor, "row position"] | None = None,
        cache: Any = None,
        unembed: bool = True,
    ) -> Tensor | None:
        if positions is not None:
            raise ModelError(
                "HookedTransformer takes no positions of its own; use a TransformerBridge to match positions."
            )
        more: dict[str, Any] = {} if unembed else {"stop_at_layer": self.shape.n_layers}
        if is_ids(rows):
            return self.hooked(rows, return_type="logits", prepend_bos=False, **more)
        if self.hooked.cfg.positional_embedding_type == "standard":
            rows = rows + self.hooked.pos_embed(torch.zeros(rows.shape[:2], dtype=torch.long, device=rows.device))
        return self.hooked(rows, return_type="logits", start_at_layer=0, **more)

    def prefix(self, tokens: Int[Tensor, "position"] | Float[Tensor, "position d_model"]) -> Any:
        raise ModelError("HookedTransformer runs prompts whole here.")

    def expand(self, prefix: Any, n: int) -> Any:
        raise ModelError("HookedTransformer runs prompts whole here.")

    def embed(self, tokens: Int[Tensor, "row position"]) -> Float[Tensor, "row position d_model"]:
        return self.hooked.embed(tokens)

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        flat = resid.reshape(1, -1, resid.shape[-1])
        return self.hooked.unembed(self.hooked.ln_final(flat)).reshape(*resid.shape[:-1], -1)

    def key_value_parameters(self) -> list[Parameter]:
        prefix, parameters = "_" if self._grouped else "", []
        for layer, block in enumerate(self.hooked.blocks):
            for kind, name in (("k", "W_K"), ("k_bias", "b_K"), ("v", "W_V"), ("v_bias", "b_V")):
                if name.startswith("b") and not self._biases:
                    continue
                name = prefix + name
                tensor = block.attn._parameters[name]
                form = "head_out" if kind.endswith("bias") else "head_in_out"
                parameters.append(
                    Parameter(f"blocks.{layer}.attn.{name}", layer, kind, tensor, form, self.shape.n_kv_heads)  # type: ignore[arg-type]
                )
        return parameters

    def other_parameters(self) -> list[Parameter]:
        taken, parameters = {id(parameter.tensor) for parameter in self.key_value_parameters()}, []
        for name, tensor in self.hooked.named_parameters():
            if id(tensor) not in taken and torch.is_floating_point(tensor):
                parts = name.split(".")
                parameters.append(Parameter(name, int(parts[1]) if parts[0] == "blocks" else None, "other", tensor))
        return parameters

    def weights(self, name: str) -> Tensor:
        return getattr(self.hooked, name).detach()

    def score_scales(self) -> list[float]:
        scale = float(self.hooked.cfg.attn_scale) if self.hooked.cfg.use_attn_scale else 1.0
        return list(dict.fromkeys([1 / scale if scale > 0 else 1.0, 1 / math.sqrt(self.shape.d_head), 1.0]))

    def score_details(self) -> ScoreDetails:
        cfg = self.hooked.cfg
        inverse = getattr(cfg, "scale_attn_by_inverse_layer_idx", False)
        cap = float(getattr(cfg, "attn_scores_soft_cap", -1.0) or -1.0)
        by_layer = tuple(1 / (layer + 1) for layer in range(self.shape.n_layers)) if inverse else ()
        return ScoreDetails(by_layer, cap if cap > 0 else None)

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        return None

    def local_windows(self) -> list[int | None]:
        cfg = self.hooked.cfg
        if not cfg.use_local_attn:
            return [None] * self.shape.n_layers
        return [cfg.window_size if kind == "local" else None for kind in cfg.attn_types]

    def processed(self) -> str | None:
        if self.hooked.cfg.normalization_type in ("LNPre", "RMSPre"):
            return "its norms are folded into the weights (fold_ln)"
        return centred_or_folded(self.hooked)

    def forget(self) -> None:
        return

    def fresh(self, seed: int) -> HookedBackend:
        cfg = copy.deepcopy(self.hooked.cfg)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            cfg.seed, cfg.init_weights = None, True
            model = type(self.hooked)(cfg, self.tokenizer)
        device = next(self.hooked.parameters()).device
        return HookedBackend(model.to(device), self.tokenizer, self._biases)

    def shared_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        for name, tensor in self.hooked.named_parameters():
            if not name.startswith("blocks.") or ".ln1." in name or ".ln2." in name:
                yield name, tensor


def _has_biases(model: Any, prefix: str) -> bool:
    """Whether key and value biases belong to the architecture: HookedTransformer fills in zeros where there are none.

    Zeros in every layer of a model with RMS norms, or of GPT-Neo and GPT-J, are read as absent.
    """
    biases = [block.attn._parameters[f"{prefix}{name}"] for block in model.blocks for name in ("b_K", "b_V")]
    if any(bool(bias.any()) for bias in biases):
        return True
    bare = str(getattr(model.cfg, "original_architecture", None)) in ("GPTNeoForCausalLM", "GPTJForCausalLM")
    return not (bare or str(model.cfg.normalization_type).startswith("RMS"))
