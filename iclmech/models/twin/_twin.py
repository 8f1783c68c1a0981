"""A plain transformers twin of a bridge: the same weights in the same memory, run by transformers' own code.

A `TransformerBridge` computes attention itself, so a faster attention cannot be put into it. The twin is built from the
model's own class and config on the meta device and given the very parameters of the bridge, so that weight updates reach
it. Where the bridge has split a fused projection into copies, the twin's fused weight is put together again by `refresh`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from iclmech._base import Guard, ModelError

from ..backends._readout_scale import final_logits
from ..backends._spread import is_spread

NAME = "iclmech"
"""The name under which transformers knows the attention function of twins."""

Attention = Callable[[int, Tensor, Tensor, Tensor, float], Tensor]
"""(layer, query [1, head, token, d_head], key and value [1, kv_head, token, d_head], scale) → [1, token, head, d_head]."""

Place = tuple[nn.Module, slice | Tensor]

_WRAPPER = re.compile(r"_original_component\.?")


@dataclass(frozen=True)
class _Part:
    """Where a split projection lies in the fused one: rows of it, or single entries."""

    fused: nn.Parameter
    source: nn.Parameter
    rows: Tensor | None
    entries: Tensor | None

    def write(self) -> None:
        if self.rows is not None:
            self.fused.data.index_copy_(0, self.rows, self.source.data)
        else:
            entries: Any = self.entries
            self.fused.data.view(-1).index_copy_(0, entries, self.source.data.reshape(-1))


class Twin:
    """The twin's blocks, and what of them can be listened to.

    Attributes: `base` (embedding, blocks and final norm, without unembedding), `blocks`, `attention`, `mlp`: modules, one
    per layer.

    Raises `ModelError` where no twin can be built that follows the bridge's weights.
    """

    def __init__(self, backend: Any):
        bridge: Any = getattr(backend, "hooked", None)
        if backend.kind != "TransformerBridge" or backend.native:
            raise ModelError(f"{backend.kind} has no plain transformers model inside.")
        from ._onednn import onednn_is_quicker, quicken  # imports transformers, which a bridge has done already

        if is_spread(bridge):
            raise ModelError("its weights are spread over several devices or the disk.")
        register()
        original = bridge.original_model
        self._config = config = copy.deepcopy(original.config)
        with torch.device("meta"):
            whole = type(original)._from_config(config, attn_implementation=NAME)
        self.base: Any = whole.base_model.eval()
        prefix = whole.base_model_prefix + "."
        self._backend = backend
        self._parts: list[_Part] = []
        self._share(original, prefix)
        names = {id(module): _WRAPPER.sub("", name).rstrip(".") for name, module in original.named_modules()}
        self.blocks = [self._find(names, block, prefix) for block in bridge.blocks]
        self.attention = [self._find(names, block.attn, prefix) for block in bridge.blocks]
        self.mlp = [self._find(names, getattr(block, "mlp", None), prefix) for block in bridge.blocks]
        if any(module is None for module in (*self.blocks, *self.attention)):
            raise ModelError("the blocks of the plain model could not be found.")
        self._unfuse(bridge)
        self._pointers = self._leaf_pointers()
        self._check_covered()
        quicken(self.base)
        self._modules = list(self.base.modules())
        for module in self.attention:
            module.iclmech_attention = None
        head = getattr(getattr(bridge, "unembed", None), "original_component", None)
        self._head = head if onednn_is_quicker() and type(head) is nn.Linear else None

    def follows(self) -> bool:
        """Whether the bridge's weights still lie where they lay when the twin was built."""
        return self._leaf_pointers() == self._pointers

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        """The model's own final norm and unembedding of a residual state, by the quicker product where there is one."""
        if self._head is None:
            return self._backend.readout(resid)
        from ._onednn import linear

        logits = linear(self._backend.hooked.ln_final(resid), self._head.weight, self._head.bias)
        return final_logits(logits, self._config)

    def using(self, attention: Attention, place: Callable[[Guard], Any] | None = None) -> Guard:
        """Let `attention` mix the tokens of every layer, for the length of a `with` block.

        Args:
            attention: what mixes them.
            place: places hooks on the twin's modules, by the guard's `hook`.
        """

        def change(guard: Guard) -> None:
            for module in self.attention:
                guard.set(module, "iclmech_attention", attention)
            if place is not None:
                place(guard)

        return Guard(change)

    def carries_hooks(self) -> bool:
        """Whether anything listens on its modules, where outside of a pass nothing should."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self._modules)

    @torch.no_grad()
    def refresh(self) -> None:
        """Put fused projections together from the bridge's split ones, as they are now."""
        for part in self._parts:
            part.write()

    def place(self, parameter: Tensor) -> Place:
        """The linear map of the twin that a parameter of the bridge belongs to, and which of its outputs the parameter makes.

        Raises `ModelError` where there is none.
        """
        for part in self._parts:
            if part.source is parameter and part.rows is not None:
                return self._owner(part.fused), part.rows
        for own in self.base.parameters():
            if own is parameter:
                return self._owner(own), slice(0, parameter.shape[0])
        for own in self.base.parameters():
            if _storage(own) == _storage(parameter) and own.is_contiguous():
                start, across = parameter.storage_offset() - own.storage_offset(), own.stride(0)
                if own.ndim == 1 or (
                    parameter.stride(0) == 1 and parameter.stride(1) == across
                ):  # outputs side by side in a row
                    return self._owner(own), slice(start, start + parameter.shape[0])
                if parameter.stride() == own.stride() and start % across == 0:
                    return self._owner(own), slice(start // across, start // across + parameter.shape[0])
        raise ModelError("the plain model does not hold this parameter.")

    def _owner(self, own: nn.Parameter) -> nn.Module:
        return next(module for module in self.base.modules() if any(own is p for p in module._parameters.values()))

    def _find(self, names: dict[int, str], module: Any, prefix: str) -> Any:
        name = names.get(id(module), "")
        try:
            return self.base.get_submodule(name.removeprefix(prefix)) if name.startswith(prefix) else None
        except AttributeError:
            return None

    def _share(self, original: nn.Module, prefix: str) -> None:
        """Hand the bridge's parameters and buffers to the twin, name by name."""
        found = {_WRAPPER.sub("", n): t for n, t in original.named_parameters(remove_duplicate=False)}
        found |= {_WRAPPER.sub("", n): t for n, t in original.named_buffers(remove_duplicate=False)}
        for path, module in self.base.named_modules():
            for table in (module._parameters, module._buffers):
                for name, tensor in table.items():
                    if tensor is None:
                        continue
                    source = found.get(f"{prefix}{path}.{name}" if path else prefix + name)
                    if source is None or source.is_meta:
                        raise ModelError(f"the plain model's {path}.{name} has no counterpart in the bridge.")
                    table[name] = source

    def _unfuse(self, bridge: Any) -> None:
        """Give the twin fused weights of its own wherever the bridge trains copies of them."""
        for block, attention in zip(bridge.blocks, self.attention, strict=True):
            split: Callable[[Any], tuple[nn.Module, ...]] | None = getattr(block.attn, "split_qkv_matrix", None)
            if split is None:
                continue
            sources = [getattr(block.attn, kind) for kind in ("q", "k", "v")]
            held = {_storage(tensor) for tensor in attention.parameters()}
            if all(_storage(tensor) in held for source in sources for tensor in source.parameters()):
                continue
            name = block.attn.submodules["qkv"].name
            fused = getattr(attention, name)
            for field, tensor in list(fused._parameters.items()):
                if tensor is not None:
                    fused._parameters[field] = nn.Parameter(tensor.detach().clone(), requires_grad=False)
            numbered = SimpleNamespace(**{field: _numbers(tensor) for field, tensor in fused._parameters.items()})
            for source, places in zip(sources, split(SimpleNamespace(**{name: numbered})), strict=True):
                for field in ("weight", "bias"):
                    live, place = getattr(source, field, None), getattr(places, field, None)
                    if live is not None and place is not None:
                        self._parts.append(_part(fused._parameters[field], live, place.detach()))

    def _leaf_pointers(self) -> list[int]:
        parameters = [*self._backend.key_value_parameters(), *self._backend.other_parameters()]
        return [parameter.tensor.data_ptr() for parameter in parameters] + [
            part.source.data_ptr() for part in self._parts
        ]

    def _check_covered(self) -> None:
        held = {_storage(tensor) for tensor in self.base.parameters()} | {_storage(p.source) for p in self._parts}
        for parameter in [*self._backend.key_value_parameters(), *self._backend.other_parameters()]:
            if parameter.layer is not None and _storage(parameter.tensor) not in held:
                raise ModelError(f"the plain model does not read {parameter.name}.")


def register() -> None:
    """Make the attention function known to transformers; to do so again changes nothing."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float | None = None, **kw: Any
) -> tuple[Tensor, None]:
    """What a twin's layers call in place of attention. Raises `ModelError` for kinds of it that are not known here."""
    strange = [name for name in ("softcap", "s_aux", "head_mask", "position_bias") if kw.get(name) is not None]
    if strange or attention_mask is not None:
        raise ModelError(f"attention with {', '.join(strange) or 'a mask'} is not known here.")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    return module.iclmech_attention(module.layer_idx, query, key, value, scale), None


def attention(query: Tensor, keys: Tensor, values: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Attention [1, token, head, d_head] with an additive mask, causal without one; grouped heads read their key head."""
    groups = query.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
    out = scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scale)
    return out.transpose(1, 2)


def narrowed(
    args: tuple[Any, ...], kwargs: dict[str, Any], at: Int[Tensor, "*row kept"], tokens: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A block's arguments for some of its tokens only: entries `at` of whatever has one per token on its second axis."""
    return _take(args, at, tokens), {name: _take(value, at, tokens) for name, value in kwargs.items()}


def _take(value: Any, at: Tensor, tokens: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_take(part, at, tokens) for part in value)
    if torch.is_tensor(value) and value.ndim >= 2 and value.shape[1] == tokens:
        return at_places(value, at)
    return value


def at_places(values: Tensor, at: Int[Tensor, "*row kept"]) -> Tensor:
    """Entries of the second axis: the same in every row, or each row's own (a single row of values serves all)."""
    if at.ndim == 1:
        return values[:, at]
    return values.expand(len(at), *values.shape[1:])[torch.arange(len(at), device=at.device)[:, None], at]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _numbers(tensor: Tensor | None) -> nn.Parameter | None:
    """Every entry's own number, in the shape of `tensor`."""
    if tensor is None:
        return None
    return nn.Parameter(torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape), requires_grad=False)


def _part(fused: nn.Parameter, source: nn.Parameter, places: Tensor) -> _Part:
    places = places.long()
    width = fused[0].numel()
    rows = places.reshape(places.shape[0], -1)[:, 0] // width
    whole = rows[:, None] * width + torch.arange(width)
    if places.numel() == whole.numel() and torch.equal(places.reshape(whole.shape), whole):
        return _Part(fused, source, rows.to(fused.device), None)
    return _Part(fused, source, None, places.reshape(-1).to(fused.device))
