"""Tiny models of five families, and where each keeps its blocks, norms and key and value projections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FAMILIES = ("gpt2", "gpt_neox", "llama", "gpt_neo", "qwen2")
D_MODEL, N_HEADS, D_HEAD, N_CTX = 32, 4, 8, 256

_CORPUS = [
    "Review: a fine film, the acting is great and the story moves you\nSentiment: positive",
    "Review: a dull film, the acting is poor and the story never starts\nSentiment: negative",
    "Sentence: it is what it is Label: neutral",
] * 4


def make_tokenizer() -> Any:
    """Byte-level BPE: 256 bytes, a few merges, `<bos>` and `<eos>`; any text round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_CORPUS, trainer)
    inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>", model_max_length=N_CTX
    )


def _config(family: str, n_layers: int, vocab: int) -> Any:
    from transformers import GPT2Config, GPTNeoConfig, GPTNeoXConfig, LlamaConfig, Qwen2Config

    common: dict[str, Any] = {"vocab_size": vocab, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    rotary = {
        "hidden_size": D_MODEL,
        "num_hidden_layers": n_layers,
        "num_attention_heads": N_HEADS,
        "intermediate_size": 48,
        "max_position_embeddings": N_CTX,
        "tie_word_embeddings": False,
    }
    if family == "gpt2":
        return GPT2Config(
            n_embd=D_MODEL,
            n_layer=n_layers,
            n_head=N_HEADS,
            n_positions=N_CTX,
            n_inner=64,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
            **common,
        )
    if family == "gpt_neox":
        return GPTNeoXConfig(**rotary, rotary_pct=0.5, use_parallel_residual=True, **common)
    if family == "llama":
        return LlamaConfig(**rotary, num_key_value_heads=2, **common)
    if family == "qwen2":
        return Qwen2Config(**rotary, num_key_value_heads=2, **common)
    if family == "gpt_neo":
        kinds = ["global", "local"] * n_layers
        return GPTNeoConfig(
            hidden_size=D_MODEL,
            num_layers=n_layers,
            num_heads=N_HEADS,
            intermediate_size=64,
            max_position_embeddings=N_CTX,
            window_size=6,  # shorter than any demonstration, so that a wrong window shows
            attention_types=[[kinds[:n_layers], 1]],
            **common,
        )
    raise ValueError(f"no tiny model of family {family!r}; there are {FAMILIES}")


def save_tiny(family: str, path: Path, n_layers: int = 3, seed: int = 0) -> None:
    """Write a random model of `family` and its tokenizer to `path`, in Hugging Face format."""
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer()
    model = AutoModelForCausalLM.from_config(_config(family, n_layers, len(tokenizer)))
    generator = torch.Generator().manual_seed(1000 * seed + FAMILIES.index(family))
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if family == "gpt_neo" and "q_proj" in name:
            noise *= D_HEAD**-0.5  # no scale in its attention, so its trained queries are small
        norm_weight = parameter.ndim == 1 and name.endswith("weight")
        with torch.no_grad():
            parameter.copy_(1 + 0.1 * noise if norm_weight else 0.2 * noise)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def load_plain(path: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The transformers model at `path`: eager attention, eval mode, `dtype`."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager", dtype=dtype).eval()


# ---------------------------------------------------------------------------------------------------------------------
# Where things are. `family` is `model.config.model_type`.


def family_of(model: nn.Module) -> str:
    """One of `FAMILIES`."""
    return model.config.model_type  # type: ignore[union-attr, return-value]  # transformers types config loosely


def blocks(model: Any) -> nn.ModuleList:
    """The blocks, first to last."""
    match family_of(model):
        case "gpt2" | "gpt_neo":
            return model.transformer.h
        case "gpt_neox":
            return model.gpt_neox.layers
        case _:
            return model.model.layers


def attention(block: Any, family: str) -> nn.Module:
    """The module that turns normed states into the attention output (after the output projection)."""
    match family:
        case "gpt2":
            return block.attn
        case "gpt_neo":
            return block.attn.attention
        case "gpt_neox":
            return block.attention
        case _:
            return block.self_attn


def readout(model: Any, resid: Tensor) -> Tensor:
    """`unembed(final norm(resid))`: `[..., d_model]` -> `[..., vocabulary]`."""
    match family_of(model):
        case "gpt2" | "gpt_neo":
            norm = model.transformer.ln_f
        case "gpt_neox":
            norm = model.gpt_neox.final_layer_norm
        case _:
            norm = model.model.norm
    return model.get_output_embeddings()(norm(resid))


def n_kv_heads(model: Any) -> int:
    """Heads of the key and value projections."""
    return getattr(model.config, "num_key_value_heads", None) or N_HEADS


def parameter_of(model: Any, layer: int, kind: str) -> nn.Parameter | None:
    """The parameter (perhaps fused with others) that holds `kind`: k, v, k_bias, v_bias; None where there is none."""
    family = family_of(model)
    module: Any = attention(blocks(model)[layer], family)
    name = "bias" if kind.endswith("bias") else "weight"
    if family == "gpt2":
        return getattr(module.c_attn, name)
    if family == "gpt_neox":
        return getattr(module.query_key_value, name)
    return getattr(module.k_proj if kind[0] == "k" else module.v_proj, name)


def canonical(model: Any, kind: str, tensor: Tensor) -> Tensor:
    """A *view* of a parameter (or its gradient) as `[kv head, d_model, d_head]`, or `[kv head, d_head]` for biases."""
    family, which = family_of(model), {"k": 1, "v": 2}[kind[0]]
    if family == "gpt2":  # Conv1D: [d_model, q|k|v], heads side by side within each
        part = tensor[..., which * D_MODEL : (which + 1) * D_MODEL].unflatten(-1, (N_HEADS, D_HEAD))
        return part if kind.endswith("bias") else part.permute(1, 0, 2)
    if family == "gpt_neox":  # [head · (q|k|v) · d_head, d_model]: interleaved head by head
        part = tensor.unflatten(0, (N_HEADS, 3, D_HEAD))[:, which]
    else:
        part = tensor.unflatten(0, (n_kv_heads(model), D_HEAD))
    return part if kind.endswith("bias") else part.transpose(1, 2)
