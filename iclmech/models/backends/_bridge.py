"""TransformerBridge (TransformerLens 3.9 and 4.x), around a transformers model or one of TransformerLens' own."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech._base import ModelError

from .._protocol import ModelShape, Parameter, ParameterKind
from ._attention_windows import windows_of
from ._processed_weights import centred_or_folded

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
_WRAPPER = re.compile(r"_original_component\.?")


def hook_name(site: str, layer: int) -> str:
    """The name under which TransformerLens lists a site."""
    return f"blocks.{layer}.{_HOOK_NAMES[site]}"


class BridgeBackend:
    """A `TransformerBridge` as it came: raw weights, any family whose blocks are a plain stack of attention and MLP."""

    kind = "TransformerBridge"

    def __init__(self, bridge: Any, tokenizer: Any = None):
        self.hooked = bridge
        self.tokenizer = tokenizer if tokenizer is not None else bridge.tokenizer
        cfg = bridge.cfg
        if not hasattr(bridge, "blocks") or not len(bridge.blocks):
            raise ModelError(
                f"{type(bridge).__name__} of {getattr(cfg, 'model_name', 'this model')} has no plain stack of blocks; "
                "iclmech needs a decoder whose blocks are attention and MLP."
            )
        n_heads = int(cfg.n_heads)
        config = getattr(bridge.original_model, "config", None)
        n_ctx = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or cfg.n_ctx
        self.shape = ModelShape(
            n_layers=len(bridge.blocks),
            n_heads=n_heads,
            n_kv_heads=int(getattr(cfg, "n_key_value_heads", None) or n_heads),
            d_head=int(cfg.d_head),
            d_model=int(cfg.d_model),
            d_vocab=int(cfg.d_vocab),
            n_ctx=int(n_ctx),
        )
        self._points = dict(bridge.hook_dict)
        self.native = getattr(cfg, "architecture", None) == "TransformerLensNative"
        self._config = config
        bridge.eval()

    def point(self, site: str, layer: int) -> nn.Module | None:
        return self._points.get(hook_name(site, layer))

    def forward(
        self,
        rows: Int[Tensor, "row position"] | Float[Tensor, "row position d_model"],
        *,
        positions: Int[Tensor, "row position"] | None = None,
        cache: Any = None,
        unembed: bool = True,
    ) -> Tensor | None:
        more: dict[str, Any] = {}
        if positions is not None:
            more["position_ids"] = positions
            if not self.native:  # without a mask, transformers reads a jump of the positions as a new text
                more["attention_mask"] = torch.ones_like(positions)
        if cache is not None:
            more["past_key_values"] = cache
        elif not self.native:
            more["use_cache"] = False
        if not unembed and not self.native:
            more["logits_to_keep"] = 1
        return self.hooked(rows, return_type="logits", **more)

    def prefix(self, tokens: Int[Tensor, "position"] | Float[Tensor, "position d_model"]) -> Any:
        if self.native:
            raise ModelError("TransformerLens' native models have no key-value cache.")
        _, past = self.hooked(tokens[None], return_type="logits_and_cache", use_cache=True, logits_to_keep=1)
        return [(layer.keys, layer.values) for layer in past.layers]

    def expand(self, prefix: Any, n: int) -> Any:
        from transformers import DynamicCache

        return DynamicCache([(k.expand(n, -1, -1, -1), v.expand(n, -1, -1, -1)) for k, v in prefix])

    def embed(self, tokens: Int[Tensor, "row position"]) -> Float[Tensor, "row position d_model"]:
        return self.hooked.embed(tokens)

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        final = self.hooked.ln_final(resid) if hasattr(self.hooked, "ln_final") else resid
        return self.hooked.unembed(final)

    def key_value_parameters(self) -> list[Parameter]:
        parameters: list[Parameter] = []
        for layer, block in enumerate(self.hooked.blocks):
            for kind in ("k", "v"):
                linear = getattr(block.attn, kind)
                named: list[tuple[ParameterKind, str, Any]] = [(kind, "weight", linear.weight)]
                if getattr(linear, "bias", None) is not None:
                    named.append((f"{kind}_bias", "bias", linear.bias))  # type: ignore[arg-type]  # k_bias or v_bias
                for parameter_kind, field, tensor in named:
                    name = f"blocks.{layer}.attn.{kind}.{field}"
                    if not isinstance(tensor, nn.Parameter) or not tensor.is_leaf:
                        raise ModelError(
                            f"{name} is not a trainable parameter of this model ({type(tensor).__name__}); quantised models cannot be updated."
                        )
                    parameters.append(
                        Parameter(name, layer, parameter_kind, tensor, self.shape.n_kv_heads, transposed=True)
                    )
        return parameters

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the wrapped model under their own names, each once, without the stale fused projections.

        TransformerLens 3.9 gives the unembedding a bias of zeros that the model does not have; it is left out.
        """
        for name, tensor in self.hooked.original_model.named_parameters():
            plain = _WRAPPER.sub("", name)
            if ".qkv." in name or "._qkv" in name or (plain in ("lm_head.bias", "embed_out.bias") and not tensor.any()):
                continue
            yield plain, tensor

    def other_parameters(self) -> list[Parameter]:
        taken = {id(parameter.tensor) for parameter in self.key_value_parameters()}
        parameters = []
        for name, tensor in self._named():
            if id(tensor) not in taken and torch.is_floating_point(tensor):
                number = re.search(r"\.(\d+)\.", name)
                parameters.append(Parameter(name, int(number[1]) if number else None, "other", tensor, 1))
        return parameters

    def weights(self, name: str) -> Tensor:
        return getattr(self.hooked, name).detach()

    def score_scales(self) -> list[float]:
        found = [1 / math.sqrt(self.shape.d_head), 1.0]
        scale = getattr(self.hooked.cfg, "attn_scale", None)
        if scale and scale > 0:
            found += [1 / float(scale), float(scale)]
        module = getattr(getattr(self.hooked.blocks[0], "attn", None), "original_component", None)
        if isinstance(getattr(module, "scaling", None), float):
            found.append(module.scaling)  # type: ignore[union-attr]  # checked above
        return list(dict.fromkeys(found))

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        module = getattr(self.hooked.blocks[layer].attn, "original_component", None)
        rotary = getattr(module, "rotary", None)
        if not self.native or not hasattr(rotary, "apply_rope"):
            return None
        ids = torch.arange(offset, offset + k.shape[1], device=k.device)[None].expand(k.shape[0], -1)
        rotated = rotary.apply_rope(q.transpose(1, 2), k.transpose(1, 2), position_ids=ids)  # type: ignore[union-attr]
        return rotated[0].transpose(1, 2), rotated[1].transpose(1, 2)

    def local_windows(self) -> list[int | None]:
        return windows_of(self._config, self.shape.n_layers)

    def processed(self) -> str | None:
        if getattr(self.hooked, "compatibility_mode", False) and getattr(self.hooked.cfg, "layer_norm_folding", False):
            return "enable_compatibility_mode() has folded its norms into the weights"
        return centred_or_folded(self.hooked)

    def fresh(self, seed: int) -> BridgeBackend:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            bridge = self._fresh_bridge()
        return BridgeBackend(bridge, self.tokenizer)

    def _fresh_bridge(self) -> Any:
        from transformer_lens.model_bridge import TransformerBridge

        like = self.key_value_parameters()[0].tensor
        if self.native:
            bridge = TransformerBridge.boot_native(  # type: ignore[attr-defined]  # bound at import
                copy.deepcopy(self.hooked.cfg)
            )
            bridge.original_model.to(like.device, like.dtype)
            return bridge
        from transformers import AutoModelForCausalLM

        from .._load import boot

        model = AutoModelForCausalLM.from_config(copy.deepcopy(self._config), attn_implementation="eager")
        return boot(model.eval().to(like.device, like.dtype), self.tokenizer, like.dtype)

    def shared_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        ends = (getattr(self.hooked, name, None) for name in ("embed", "pos_embed", "ln_final", "unembed"))
        kept = {id(tensor) for module in ends if module is not None for tensor in module.parameters()}
        for module in self.hooked.original_model.modules():
            if "norm" in type(module).__name__.lower():
                kept |= {id(tensor) for tensor in module.parameters()}
        return [(name, tensor) for name, tensor in self._named() if id(tensor) in kept]
