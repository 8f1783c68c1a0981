"""What a prompt does in every layer, read off one full forward; and the two similarities, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._models import D_HEAD, D_MODEL, N_HEADS, attention, blocks, family_of, n_kv_heads


def _rotate(x: Tensor, n_rotary: int, base: float) -> Tensor:
    """Rotary positions 0, 1, … on `[head, token, d_head]`: dimension i is paired with i + n_rotary / 2."""
    out = x.clone()
    half = n_rotary // 2
    for position in range(x.shape[1]):
        for i in range(half):
            angle = position * base ** (-2 * i / n_rotary)
            cos, sin = math.cos(angle), math.sin(angle)
            a, b = x[:, position, i], x[:, position, i + half]
            out[:, position, i] = a * cos - b * sin
            out[:, position, i + half] = b * cos + a * sin
    return out


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, D_HEAD)).transpose(0, 1)  # [head, token, d_head]


def _queries_and_keys(model: Any, module: Any, x: Tensor) -> tuple[Tensor, Tensor, float]:
    """q and k as the product uses them, `[head, token, d_head]` (kv heads repeated), and the scale."""
    family = family_of(model)
    if family == "gpt2":
        q, k, _ = module.c_attn(x).split(D_MODEL, dim=-1)
        return _heads(q), _heads(k), D_HEAD**-0.5
    if family == "gpt_neo":
        return _heads(module.q_proj(x)), _heads(module.k_proj(x)), 1.0
    if family == "gpt_neox":
        fused = module.query_key_value(x).unflatten(-1, (N_HEADS, 3, D_HEAD))
        q, k = fused[:, :, 0].transpose(0, 1), fused[:, :, 1].transpose(0, 1)
        n_rotary = D_HEAD // 2
    else:
        q, k = _heads(module.q_proj(x)), _heads(module.k_proj(x))
        n_rotary = D_HEAD
    base = model.config.rope_parameters["rope_theta"]
    q, k = _rotate(q, n_rotary, base), _rotate(k, n_rotary, base)
    repeats = N_HEADS // n_kv_heads(model)
    return q, torch.stack([k[head // repeats] for head in range(N_HEADS)]), D_HEAD**-0.5


def _visible(model: Any, layer: int, n: int) -> Tensor:
    """`[query, key]`: causal, and within the window where the layer is a local one."""
    kinds = getattr(model.config, "attention_layers", None) or ["global"] * (layer + 1)
    window = model.config.window_size if kinds[layer] == "local" else n
    distance = torch.arange(n)[:, None] - torch.arange(n)[None]
    return (distance >= 0) & (distance < window)


@torch.no_grad()
def record(model: Any, tokens: Sequence[int], n_own: int, position: int = -1) -> dict[str, Tensor]:
    """Run the full prompt once and read at `position`:

    attn_out, resid_post `[layer, d_model]`; scores, pattern `[layer, head, n_own]` against the last `n_own` tokens;
    all_scores, all_patterns `[layer, head, token]`; logits `[vocabulary]`. Scores are NaN where attention is masked.
    """
    family, seen = family_of(model), {}
    handles = []
    for layer, block in enumerate(blocks(model)):

        def on_block(_module: Any, _args: Any, output: Any, layer: int = layer) -> None:
            seen["resid_post", layer] = (output[0] if isinstance(output, tuple) else output)[0]

        def on_attention(module: Any, args: Any, kwargs: Any, output: Any, layer: int = layer) -> None:
            x = (args[0] if args else kwargs["hidden_states"])[0]
            q, k, scale = _queries_and_keys(model, module, x)
            seen["attn_out", layer] = output[0][0]
            seen["pattern", layer] = output[1][0]
            scores = torch.einsum("hqd,hkd->hqk", q, k) * scale
            seen["scores", layer] = torch.where(_visible(model, layer, len(x)), scores, torch.nan)

        handles.append(block.register_forward_hook(on_block))
        handles.append(attention(block, family).register_forward_hook(on_attention, with_kwargs=True))
    try:
        logits = model(torch.tensor([list(tokens)])).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    layers = range(len(blocks(model)))
    position = position % len(tokens)

    def stacked(name: str) -> Tensor:
        if name in ("attn_out", "resid_post"):
            return torch.stack([seen[name, layer][position] for layer in layers])
        return torch.stack([seen[name, layer][:, position] for layer in layers])

    return {
        "attn_out": stacked("attn_out"),
        "resid_post": stacked("resid_post"),
        "scores": stacked("scores")[..., -n_own:],
        "pattern": stacked("pattern")[..., -n_own:],
        "all_scores": stacked("scores"),
        "all_patterns": stacked("pattern"),
        "logits": logits[position],
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))


def _unit(a: np.ndarray) -> np.ndarray:
    return a / math.sqrt(float(a @ a))


def sim_aou(zs: Sequence[dict], icl: Sequence[dict], ft: Sequence[dict]) -> np.ndarray:
    """`[query, layer]` from recordings of the same queries in the three settings."""
    rows = []
    for z, i, f in zip(zs, icl, ft, strict=True):
        row = []
        for layer in range(z["attn_out"].shape[0]):
            hz, hi, hf = (_unit(r["attn_out"][layer].double().numpy()) for r in (z, i, f))
            row.append(_cosine(hi - hz, hf - hz))
        rows.append(row)
    return np.array(rows)


def sim_am(zs: Sequence[dict], icl: Sequence[dict], ft: Sequence[dict]) -> np.ndarray:
    """`[query, layer, head]` from recordings of the same queries in the three settings, over the keys that are seen."""
    out = []
    for z, i, f in zip(zs, icl, ft, strict=True):
        n_layers, n_heads = z["scores"].shape[:2]
        table = np.zeros((n_layers, n_heads))
        for layer in range(n_layers):
            for head in range(n_heads):
                az, ai, af = (r["scores"][layer, head].double().numpy() for r in (z, i, f))
                seen = ~np.isnan(az)
                az, ai, af = az[seen], ai[seen], af[seen]
                table[layer, head] = _cosine(ai - az, af - az)
        out.append(table)
    return np.array(out)
