"""Which backend goes with what a user hands over."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from iclmech._base import ModelError

from .._protocol import Backend


def booted(model: Any, tokenizer: Any) -> tuple[Any, tuple[Tensor, Tensor] | None]:
    """A plain transformers model as a bridge, with the logits that it gave before; any other object as it is."""
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        return model, None
    from ._boot import boot_and_compare

    if tokenizer is None:
        raise ModelError(
            f"got a plain {type(model).__name__} without tokenizer; expected ICLModel(model, tokenizer=...)."
        )
    return boot_and_compare(model.eval(), tokenizer, model.dtype, model.name_or_path or None)


def backend_of(model: Any, tokenizer: Any = None) -> Backend:
    """The backend for a TransformerLens model or a `SmallNet`; `ModelError` for anything else."""
    from transformer_lens.model_bridge import TransformerBridge

    if isinstance(model, TransformerBridge):
        from ._bridge import BridgeBackend

        return BridgeBackend(model, tokenizer)
    if type(model).__name__ == "HookedTransformer":
        from ._hooked_transformer import HookedBackend

        return HookedBackend(model, tokenizer)
    from ._small_net import SmallNetBackend, is_small_net

    if is_small_net(model):
        return SmallNetBackend(model, tokenizer)
    raise ModelError(
        f"got a {type(model).__name__}; expected a TransformerBridge, a HookedTransformer, a SmallNet of iclmech.training, or a "
        "transformers model with its tokenizer. "
        "For a name or a directory use iclmech.load_model."
    )
