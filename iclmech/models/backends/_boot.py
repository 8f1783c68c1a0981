"""A TransformerBridge around a transformers model object, without the noise of loading."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch


def boot(model: Any, tokenizer: Any, dtype: torch.dtype) -> Any:
    """A TransformerBridge around a transformers model object. The object is wrapped in place."""
    from transformer_lens.model_bridge import TransformerBridge

    path = str(getattr(tokenizer, "name_or_path", "") or "local-model")
    with quiet():
        return TransformerBridge.boot_transformers(
            path, hf_model=model, tokenizer=tokenizer, device=str(model.device), dtype=dtype
        )


def context_length(config: Any) -> int | None:
    """The longest prompt that a transformers config allows; None where it does not say."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Loading without progress bars and advice; errors still come through."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    root = logging.getLogger()
    before = root.level
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    root.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(before)
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
