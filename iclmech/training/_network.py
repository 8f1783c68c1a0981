"""The network that is trained: a Llama block stack in plain PyTorch, faster on one CPU thread than the library's own.

Its parameters carry the names of `transformers.LlamaForCausalLM`, so the exported file is its state dict; a test holds
the exported model to the same logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class NetConfig:
    """Shape of the network; `init_std` is the standard deviation of every matrix at the start (norm weights are 1)."""

    n_layers: int = 4
    d_model: int = 64
    n_heads: int = 4
    d_mlp: int = 192
    n_ctx: int = 1024
    rope_theta: float = 1000.0
    norm_eps: float = 1e-5
    init_std: float = 0.05

    def hf_config(self, d_vocab: int) -> dict[str, Any]:
        """The keyword arguments of `transformers.LlamaConfig` for the same network."""
        return {
            "vocab_size": d_vocab, "hidden_size": self.d_model, "intermediate_size": self.d_mlp,
            "num_hidden_layers": self.n_layers, "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_heads, "max_position_embeddings": self.n_ctx, "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta, "tie_word_embeddings": False, "initializer_range": self.init_std,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "hidden_act": "silu", "torch_dtype": "float32",
        }  # fmt: skip


class _Norm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class _Attention(nn.Module):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        width = config.d_model
        self.heads, self.d_head = config.n_heads, width // config.n_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, pattern: bool = False) -> tuple[Tensor, Tensor | None]:
        rows, length, width = x.shape
        weight = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))
        qkv = F.linear(x, weight).view(rows, length, 3, self.heads, self.d_head)
        qk = qkv[:, :, :2]
        half = self.d_head // 2
        turned = torch.cat((-qk[..., half:], qk[..., :half]), -1)
        q, k = (qk * cos + turned * sin).permute(2, 0, 3, 1, 4)
        v = qkv[:, :, 2].transpose(1, 2)
        weights = None
        if pattern:
            scores = q @ k.transpose(-1, -2) / self.d_head**0.5
            mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
            z = weights @ v
        else:
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(z.transpose(1, 2).reshape(rows, length, width)), weights


class _MLP(nn.Module):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_mlp, bias=False)
        self.up_proj = nn.Linear(config.d_model, config.d_mlp, bias=False)
        self.down_proj = nn.Linear(config.d_mlp, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Block(nn.Module):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.input_layernorm = _Norm(config.d_model, config.norm_eps)
        self.self_attn = _Attention(config)
        self.post_attention_layernorm = _Norm(config.d_model, config.norm_eps)
        self.mlp = _MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, pattern: bool) -> tuple[Tensor, Tensor | None]:
        out, weights = self.self_attn(self.input_layernorm(x), cos, sin, pattern)
        x = x + out
        return x + self.mlp(self.post_attention_layernorm(x)), weights


class _Trunk(nn.Module):
    def __init__(self, config: NetConfig, d_vocab: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(d_vocab, config.d_model)
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.n_layers))
        self.norm = _Norm(config.d_model, config.norm_eps)


class MiniNet(nn.Module):
    """The trainable network. `forward` gives the normed final states; `logits` reads tokens out of them."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: NetConfig, d_vocab: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.model = _Trunk(config, d_vocab)
        self.lm_head = nn.Linear(config.d_model, d_vocab, bias=False)
        d_head = config.d_model // config.n_heads
        rates = config.rope_theta ** (-torch.arange(0, d_head, 2).float() / d_head)
        angles = torch.outer(torch.arange(config.n_ctx).float(), rates).repeat(1, 2)
        self.register_buffer("cos", angles.cos()[None, :, None, None], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None, None], persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, config.init_std, generator=generator)

    def forward(
        self, ids: Int[Tensor, "rows length"], patterns: list[Tensor] | None = None
    ) -> Float[Tensor, "rows length d"]:
        """States after the final norm. With a list, every layer's attention pattern [row, head, query, key] is appended."""
        x = self.model.embed_tokens(ids)
        cos, sin = self.cos[:, : ids.shape[1]], self.sin[:, : ids.shape[1]]
        for block in self.model.layers:
            x, weights = block(x, cos, sin, patterns is not None)
            if patterns is not None and weights is not None:
                patterns.append(weights)
        return self.model.norm(x)

    def logits(self, states: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch vocab"]:
        """Scores of every token."""
        return self.lm_head(states)
