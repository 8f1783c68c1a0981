"""How far back each layer may look, from a transformers config."""

from __future__ import annotations

from typing import Any


def windows_of(config: Any, n_layers: int) -> list[int | None]:
    """For each layer the number of keys a query may read (itself included), or None for all of them."""
    kinds = getattr(config, "attention_layers", None)
    if kinds:  # GPT-Neo
        return [config.window_size if kind == "local" else None for kind in kinds]
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True):
        kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * n_layers
        return [window if kind == "sliding_attention" else None for kind in kinds]
    return [None] * n_layers
