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

from iclmech._base import BackendError, ModelError

from .._families import refusal
from .._protocol import ModelShape, Parameter, ParameterKind, ScoreDetails, StorageForm, hook_name
from ._attention_windows import windows_of
from ._boot import boot, context_length
from ._processed_weights import centred_or_folded
from ._readout_scale import final_logits
from ._rotation import rotary_gain, rotated

_WRAPPER = re.compile(r"_original_component\.?")


class BridgeBackend:
    """A `TransformerBridge` as it came: raw weights, any family whose blocks are a plain stack of attention and MLP."""

    kind = "TransformerBridge"

    def __init__(self, bridge: Any, tokenizer: Any = None):
        self.hooked = bridge
        self.tokenizer = tokenizer if tokenizer is not None else bridge.tokenizer
        cfg = bridge.cfg
        config = getattr(getattr(bridge, "original_model", None), "config", None)
        why = refusal(config)
        if why:
            raise BackendError(f"{getattr(cfg, 'model_name', None) or 'this model'} is refused: {why}")
        if not hasattr(bridge, "blocks") or not len(bridge.blocks):
            raise ModelError(
                f"{type(bridge).__name__} of {getattr(cfg, 'model_name', 'this model')} has no plain stack of blocks; "
                "iclmech needs a decoder whose blocks are attention and MLP."
            )
        n_heads = int(cfg.n_heads)
        self.shape = ModelShape(
            n_layers=len(bridge.blocks),
            n_heads=n_heads,
            n_kv_heads=int(getattr(cfg, "n_key_value_heads", None) or n_heads),
            d_head=int(cfg.d_head),
            d_model=int(cfg.d_model),
            d_vocab=int(cfg.d_vocab),
            n_ctx=context_length(config) or int(cfg.n_ctx),
        )
        self._points = dict(bridge.hook_dict)
        self.native = getattr(cfg, "architecture", None) == "TransformerLensNative"
        self._config = config
        self._positions: Tensor | None = None
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
        self._positions = positions  # for hooks that rotate keys and queries while the pass is under way
        try:
            return self.hooked(rows, return_type="logits", **more)
        finally:
            self._positions = None

    def prefix(self, tokens: Int[Tensor, "position"] | Float[Tensor, "position d_model"]) -> Any:
        if self.native:
            raise ModelError("TransformerLens' native models have no key-value cache.")
        from transformers import DynamicCache

        # A cache that knows the config would forget keys that left a layer's window; queries behind the prefix, and the
        # masks that transformers makes for them, count on all being there.
        more = {"past_key_values": DynamicCache(), "use_cache": True, "logits_to_keep": 1}
        _, past = self.hooked(tokens[None], return_type="logits_and_cache", **more)
        return [(layer.keys, layer.values) for layer in past.layers]

    def expand(self, prefix: Any, n: int) -> Any:
        from transformers import DynamicCache

        return DynamicCache([(k.expand(n, -1, -1, -1), v.expand(n, -1, -1, -1)) for k, v in prefix])

    def embed(self, tokens: Int[Tensor, "row position"]) -> Float[Tensor, "row position d_model"]:
        return self.hooked.embed(tokens)

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        final = self.hooked.ln_final(resid) if hasattr(self.hooked, "ln_final") else resid
        return final_logits(self.hooked.unembed(final), self._config)

    def key_value_parameters(self) -> list[Parameter]:
        parameters: list[Parameter] = []
        for layer, block in enumerate(self.hooked.blocks):
            for kind in ("k", "v"):
                linear: Any = getattr(getattr(block, "attn", None), kind, None)
                if getattr(linear, "weight", None) is None:
                    raise BackendError(
                        f"layer {layer} has no projection to {'keys' if kind == 'k' else 'values'} of its own; expected blocks "
                        "of attention and MLP throughout. Take a family that loads: docs/howto/models.md lists them."
                    )
                named: list[tuple[ParameterKind, str, StorageForm]] = [(kind, "weight", "out_in")]
                if getattr(linear, "bias", None) is not None:
                    named.append((f"{kind}_bias", "bias", "out"))  # type: ignore[arg-type]  # k_bias or v_bias
                for parameter_kind, field, form in named:
                    tensor = getattr(linear, field)
                    name = f"blocks.{layer}.attn.{kind}.{field}"
                    if not isinstance(tensor, nn.Parameter) or not tensor.is_leaf:
                        raise ModelError(
                            f"{name} is not a trainable parameter of this model ({type(tensor).__name__}); quantised models cannot be updated."
                        )
                    parameters.append(Parameter(name, layer, parameter_kind, tensor, form, self.shape.n_kv_heads))
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
                parameters.append(Parameter(name, int(number[1]) if number else None, "other", tensor))
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

    def score_details(self) -> ScoreDetails:
        by_layer = ()
        if getattr(self._config, "scale_attn_by_inverse_layer_idx", False):  # GPT-2 as trained by Stanford's CRFM
            by_layer = tuple(1 / (layer + 1) for layer in range(self.shape.n_layers))
        cap = getattr(self._config, "attn_logit_softcapping", None)
        gain, dims = rotary_gain(self.hooked.original_model, self._config, self.shape.d_head)
        return ScoreDetails(by_layer, float(cap) if cap else None, gain, dims)

    def rotate(self, layer: int, q: Tensor, k: Tensor, offset: int) -> tuple[Tensor, Tensor] | None:
        module = getattr(self.hooked.blocks[layer].attn, "original_component", None)
        ids = torch.arange(offset, offset + k.shape[1], device=k.device)[None].expand(k.shape[0], -1)
        if self._positions is not None and self._positions.shape[1] == k.shape[1]:
            ids = self._positions.expand(k.shape[0], -1)
        return rotated(module, q, k, ids)

    def local_windows(self) -> list[int | None]:
        return windows_of(self._config, self.shape.n_layers)

    def processed(self) -> str | None:
        if getattr(self.hooked, "compatibility_mode", False) and getattr(self.hooked.cfg, "layer_norm_folding", False):
            return "enable_compatibility_mode() has folded its norms into the weights"
        return centred_or_folded(self.hooked)

    def forget(self) -> None:
        for block in self.hooked.blocks:
            if getattr(getattr(block, "attn", None), "_pattern", None) is not None:
                block.attn._pattern = None

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

        model = AutoModelForCausalLM.from_config(copy.deepcopy(self._config), attn_implementation="eager")
        return boot(model.eval().to(like.device, like.dtype), self.hooked.tokenizer, like.dtype)

    def shared_parts(self) -> Iterable[tuple[str, nn.Parameter]]:
        ends = (getattr(self.hooked, name, None) for name in ("embed", "pos_embed", "ln_final", "unembed"))
        kept = {id(tensor) for module in ends if module is not None for tensor in module.parameters()}
        for module in self.hooked.original_model.modules():
            if "norm" in type(module).__name__.lower():
                kept |= {id(tensor) for tensor in module.parameters()}
        return [(name, tensor) for name, tensor in self._named() if id(tensor) in kept]
