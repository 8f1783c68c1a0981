"""Attention over the text of a prompt, packed small enough for a page."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import from_ascii_json
from iclmech.figures import setting_name

from ._escape import shown

if TYPE_CHECKING:
    from iclmech.experiments import Comparison

BUDGET = 450_000  # bytes of weights
_NONE = 255
_TOP = 254


def attention_payload(result: Comparison, budget: int = BUDGET) -> dict[str, Any] | None:
    """What the attention view needs, as plain values; None where the result holds no examples.

    Weights are kept as the square root in steps of 1/254 (an error of at most .004), 255 where a token is not in the prompt.
    If all heads of all examples do not fit into `budget` bytes, examples are left out first, then heads: those
    that attend most to labels in context stay, and `left_out` says how many went.
    """
    data = result.examples
    if "pattern" not in data or not data["pattern"].size:
        return None
    metas = [from_ascii_json(str(m)) for m in data["meta"].values]
    pattern = np.asarray(data["pattern"].transpose("example", "setting", "layer", "head", "token").values)
    settings = [str(s) for s in data["setting"].values]
    n_layers, n_heads = pattern.shape[2:4]
    per_head = [len(settings) * len(m["tokens"]) for m in metas]
    n = max((i for i in range(1, len(metas) + 1) if sum(per_head[:i]) * n_layers * n_heads <= budget), default=1)
    keep = min(n_layers * n_heads, max(1, budget // max(sum(per_head[:n]), 1)))
    heads = _strongest(pattern[0], settings, metas[0], keep)
    return {
        "settings": [{"key": s, "name": setting_name(s, result.roster)} for s in settings],
        "heads": [[int(layer), int(head)] for layer, head in heads],
        "left_out": int(n_layers * n_heads - keep),
        "examples": [_example(pattern[i], metas[i], heads) for i in range(n)],
        "position": str(data.attrs.get("position", "prediction")),
    }


def _strongest(pattern: np.ndarray, settings: list[str], meta: dict[str, Any], keep: int) -> np.ndarray:
    """(layer, head) of the `keep` heads with the most attention on labels in context, in reading order."""
    labels = np.array([r == "label" for r in meta["roles"]])
    at = settings.index("icl") if "icl" in settings else 0
    strength = np.nansum(np.where(labels, pattern[at][..., : len(labels)], 0.0), axis=-1)
    chosen = np.sort(np.argsort(-strength.ravel(), kind="stable")[:keep])
    return np.stack(np.unravel_index(chosen, strength.shape), axis=1)


def _example(pattern: np.ndarray, meta: dict[str, Any], heads: np.ndarray) -> dict[str, Any]:
    tokens = [shown(t) for t in meta["tokens"]]
    values = pattern[:, heads[:, 0], heads[:, 1], : len(tokens)]
    steps = np.where(np.isnan(values), _NONE, np.rint(np.sqrt(np.clip(np.nan_to_num(values), 0, 1)) * _TOP)).astype(
        np.uint8
    )
    return {
        "name": shown(meta["text"]),
        "tokens": tokens,
        "breaks": [i for i, t in enumerate(meta["tokens"]) if "\n" in str(t)],
        "roles": list(meta["roles"]),
        "n_context": int(meta.get("n_context", 0)),
        "weights": base64.b64encode(np.ascontiguousarray(steps).tobytes()).decode("ascii"),
    }
