"""Architectures that are refused by name: what of them cannot be read right, found in the config before weights are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_STATE_SPACE = (
    "mamba",
    "falcon_mamba",
    "xlstm",
    "rwkv",
    "jamba",
    "bamba",
    "zamba",
    "falcon_h1",
    "recurrent_gemma",
    "nemotron_h",
    "lfm2",
)
_ROTARY = "take a family with learned or rotary positions (GPT-2, Pythia, Llama, Qwen, Gemma)"
_PLAIN = "take a family of plain attention (Llama, Qwen, Gemma, Mistral)"


def _kind(config: Any) -> str:
    return str(getattr(config, "model_type", ""))


def _alibi(config: Any) -> bool:
    attention = getattr(config, "attn_config", None)
    asked = getattr(attention, "alibi", None) if attention is not None else getattr(config, "alibi", False)
    return _kind(config) in ("bloom", "mpt") or bool(asked)


_REFUSED: tuple[tuple[Callable[[Any], bool], str, str], ...] = (
    (
        lambda config: any(_kind(config).startswith(name) for name in _STATE_SPACE),
        "its blocks keep a state instead of attending to tokens, so there are no scores, keys and values to read or to train",
        "take a decoder whose blocks are attention and MLP",
    ),
    (
        lambda config: bool(getattr(config, "is_encoder_decoder", False)),
        "it has an encoder beside its decoder; prompts with demonstrations are for decoders alone",
        "take a decoder-only model (GPT-2, Pythia, Llama, Qwen)",
    ),
    (
        _alibi,
        "its scores are q·k plus a bias that grows with distance (ALiBi), and what is measured of attention here takes "
        "scores that are q·k alone",
        _ROTARY,
    ),
    (
        lambda config: bool(getattr(config, "kv_lora_rank", None)),
        "its keys and values come from a shared latent vector (multi-head latent attention), so it has no key and value "
        "projections to read or to train",
        _PLAIN,
    ),
    (
        lambda config: _kind(config) == "gpt_oss",
        "its softmax has a learned sink beside the keys, so the pattern is no softmax of the scores",
        _PLAIN,
    ),
    (
        lambda config: _kind(config) == "opt" and not getattr(config, "do_layer_norm_before", True),
        "its norms stand behind the residual sums (OPT-350m alone of its family), so no state is the sum of what blocks wrote",
        "take another size of OPT",
    ),
    (
        lambda config: _kind(config) == "openai-gpt",
        "its norms stand behind the residual sums, so no state is the sum of what blocks wrote",
        "take GPT-2",
    ),
    (
        lambda config: _kind(config) == "gpt2" and not getattr(config, "scale_attn_weights", True),
        "its scores are not scaled (scale_attn_weights=False), which TransformerLens does not follow",
        "take a GPT-2 with the usual scale",
    ),
    (
        lambda config: _kind(config) == "gpt_neox" and not getattr(config, "attention_bias", True),
        "its attention has no biases (attention_bias=False), which TransformerLens cannot split",
        "take a GPT-NeoX with biases, such as Pythia",
    ),
    (
        lambda config: _kind(config) == "falcon" and bool(getattr(config, "new_decoder_architecture", False)),
        "its fused projection interleaves keys with groups of queries (Falcon-40b), which TransformerLens cannot split",
        "take Falcon-7b",
    ),
    (
        lambda config: _kind(config) in ("hunyuan_v1_dense", "llama4_text", "llama4"),
        "its queries and keys are normed after they were rotated, and no hook shows them so",
        _PLAIN,
    ),
)


def refusal(config: Any) -> str:
    """Why a model with this config is refused, and a way out; "" where nothing speaks against it.

    Args:
        config: a transformers config (of the text model, where there are several).

    Returns:
        "REASON. Way out: ….", or "".
    """
    for applies, reason, way_out in _REFUSED:
        if applies(config):
            return f"{reason}. Way out: {way_out}; docs/howto/models.md lists what loads."
    return ""
