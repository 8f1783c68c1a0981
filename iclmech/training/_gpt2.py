"""A small GPT-2 in plain PyTorch, for rows of embeddings; written out as an ordinary `transformers.GPT2LMHeadModel`.

    rows [row position d] + learned positions ──► pre-norm blocks ──► final norm ──► states ──► rows of the readout

With it come "soft tokens": a vocabulary `<bos>, x1 … xd, y` in which a point is a mixture of embedding rows,
Σ x_i · E[x_i], a value is y · E[y], and the prediction is the score of `y`. The read-in of real numbers is then the
embedding matrix, the read-out one row of the unembedding, and nothing about the model is out of the ordinary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from iclmech._base import ModelError

from ._export import save_word_tokenizer

_STD = {"embedding": 0.5, "position": 0.1, "matrix": 0.05}


@dataclass(frozen=True)
class GPT2Config:
    """Shape of the net: `d_mlp` is 4 · `d_model`, heads are `d_model / n_heads` wide."""

    n_layers: int = 4
    d_model: int = 64
    n_heads: int = 4
    n_ctx: int = 64

    def check(self) -> None:
        """Raise `ModelError` for sizes that do not go together."""
        if min(self.n_layers, self.n_heads, self.n_ctx) < 1 or self.d_model % self.n_heads:
            raise ModelError(f"got {self}; expected at least one of each, and d_model a multiple of n_heads.")


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width) for _ in range(4))
        self.up_proj, self.down_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "row position d"]) -> Float[Tensor, "row position d"]:
        """The next residual state."""
        normed = self.ln_1(x)
        q, k, v = (
            part(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o_proj(z.transpose(1, 2).flatten(2))
        return x + self.down_proj(F.gelu(self.up_proj(self.ln_2(x)), approximate="tanh"))


class _Trunk(nn.Module):
    def __init__(self, config: GPT2Config, d_vocab: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(d_vocab, config.d_model)
        self.positions = nn.Embedding(config.n_ctx, config.d_model)
        self.layers = nn.ModuleList(_Block(config.d_model, config.n_heads) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model)


class SmallGPT2(nn.Module):
    """A trainable GPT-2. `forward` gives the normed final states, `logits` the scores of tokens.

    Args:
        config: the shape.
        d_vocab: number of tokens.
        generator: what the weights are drawn from: embeddings N(0, .5²), positions N(0, .1²), matrices N(0, .05²).
        soft: only the last token, `y`, can be read out; the other rows of the readout are zero and stay so.

    >>> net = SmallGPT2(GPT2Config(n_layers=1, d_model=8, n_heads=2, n_ctx=16), 5)
    >>> net.logits(net(net.embed(torch.tensor([[0, 1, 2]])))).shape
    torch.Size([1, 3, 5])
    """

    def __init__(
        self, config: GPT2Config, d_vocab: int, generator: torch.Generator | None = None, soft: bool = False
    ) -> None:
        super().__init__()
        config.check()
        self.config, self.d_vocab, self.soft = config, d_vocab, soft
        self.model = _Trunk(config, d_vocab)
        self.lm_head = nn.Linear(config.d_model, d_vocab, bias=False)
        self._draw(generator)

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                kind = "embedding" if "embed_tokens" in name else "position" if "positions" in name else "matrix"
                parameter.normal_(0.0, _STD[kind], generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
        if self.soft:
            self.lm_head.weight[:-1] = 0.0

    def embed(self, ids: Int[Tensor, "row position"]) -> Float[Tensor, "row position d"]:
        """Embedding rows of tokens, without positions."""
        return self.model.embed_tokens(ids)

    def forward(self, rows: Float[Tensor, "row position d"]) -> Float[Tensor, "row position d"]:
        """States after the final norm, of rows of embeddings.

        Raises:
            ModelError: rows longer than the context.
        """
        length = rows.shape[1]
        if length > self.config.n_ctx:
            raise ModelError(f"got rows of {length} positions; this net has {self.config.n_ctx} (n_ctx).")
        x = rows + self.model.positions.weight[:length]
        for block in self.model.layers:
            x = block(x)
        return self.model.norm(x)

    def logits(self, states: Float[Tensor, "*row d"]) -> Float[Tensor, "*row vocab"]:
        """Scores of every token."""
        return self.lm_head(states)


def soft_rows(
    table: Float[Tensor, "token d_model"], x: Float[Tensor, "prompt example d"], y: Float[Tensor, "prompt example"]
) -> Float[Tensor, "prompt position d_model"]:
    """Prompts of real numbers as rows of embeddings: x1, y1, x2, y2, …, without BOS.

    Args:
        table: the embedding matrix of a vocabulary `<bos>, x1 … xd, y`.
        x, y: the points and their values.

    Returns:
        2 · example positions; the point after n pairs stands at position 2n.

    Raises:
        ModelError: points of another dimension than the vocabulary has tokens for.

    >>> soft_rows(torch.eye(4), torch.tensor([[[2.0, 3.0]]]), torch.tensor([[5.0]]))[0].tolist()
    [[0.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 5.0]]
    """
    if len(table) != x.shape[-1] + 2:
        raise ModelError(
            f"got points of {x.shape[-1]} dimensions for a vocabulary of {len(table)} tokens; expected one token for each "
            "dimension, one for the value, and BOS. Take a family of the dimension that the model was trained on."
        )
    x, y = x.to(table), y.to(table)
    return torch.stack([x @ table[1:-1], y[..., None] * table[-1]], 2).flatten(1, 2)


def export_gpt2(
    net: SmallGPT2, directory: str | Path, words: Sequence[str], dtype: torch.dtype = torch.float32
) -> Path:
    """Write `config.json`, `model.safetensors` and a tokenizer of whole words: a `GPT2LMHeadModel` with untied readout.

    Args:
        net: a trained net.
        directory: made where it is not there.
        words: the vocabulary, BOS first.
        dtype: of the weights in the file; float16 halves it, and `iclmech.load_model` computes in float32 all the same.

    Returns:
        The directory.

    Raises:
        ModelError: another number of words than the net has tokens.
    """
    if len(set(words)) != net.d_vocab:
        raise ModelError(f"got {len(set(words))} different words; this net has {net.d_vocab} tokens.")
    directory, c = Path(directory), net.config
    save_word_tokenizer(list(words), directory, c.n_ctx)
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": net.d_vocab, "n_positions": c.n_ctx,
        "n_embd": c.d_model, "n_layer": c.n_layers, "n_head": c.n_heads, "activation_function": "gelu_new",
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": None, "pad_token_id": None,
        "torch_dtype": "float32",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    weights = {name: value.to(dtype).contiguous() for name, value in gpt2_weights(net).items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def gpt2_weights(net: SmallGPT2) -> dict[str, Tensor]:
    """The weights under the names of `transformers.GPT2LMHeadModel`, whose matrices are [in, out] and whose q, k and v
    are one; float32 on the CPU."""
    own = {name: value.detach().float().cpu() for name, value in net.state_dict().items()}
    found = {
        "lm_head.weight": own["lm_head.weight"],
        "transformer.wte.weight": own["model.embed_tokens.weight"],
        "transformer.wpe.weight": own["model.positions.weight"],
    }
    found |= {f"transformer.ln_f.{kind}": own[f"model.norm.{kind}"] for kind in ("weight", "bias")}
    for layer in range(net.config.n_layers):
        mine, theirs = f"model.layers.{layer}", f"transformer.h.{layer}"
        for name in ("ln_1", "ln_2"):
            found |= {f"{theirs}.{name}.{kind}": own[f"{mine}.{name}.{kind}"] for kind in ("weight", "bias")}
        for kind in ("weight", "bias"):
            qkv = torch.cat([own[f"{mine}.{name}_proj.{kind}"] for name in "qkv"])
            parts = {"attn.c_attn": qkv}
            parts |= {"attn.c_proj": own[f"{mine}.o_proj.{kind}"]}
            parts |= {"mlp.c_fc": own[f"{mine}.up_proj.{kind}"], "mlp.c_proj": own[f"{mine}.down_proj.{kind}"]}
            found |= {f"{theirs}.{name}.{kind}": value.T if value.ndim == 2 else value for name, value in parts.items()}
    return found


def load_gpt2(weights: Mapping[str, Tensor], n_heads: int) -> SmallGPT2:
    """The net whose `gpt2_weights` these are, or those of any GPT-2 without dropout and with an untied readout, to be trained on.

    Args:
        weights: under the names of `transformers.GPT2LMHeadModel`.
        n_heads: which the weights do not tell.

    Returns:
        A net of its own, readout of every token.
    """
    (d_vocab, d_model), n_ctx = weights["transformer.wte.weight"].shape, len(weights["transformer.wpe.weight"])
    n_layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.h.")})
    net = SmallGPT2(GPT2Config(n_layers, d_model, n_heads, n_ctx), d_vocab)
    own = {
        "lm_head.weight": weights["lm_head.weight"],
        "model.embed_tokens.weight": weights["transformer.wte.weight"],
        "model.positions.weight": weights["transformer.wpe.weight"],
    }
    own |= {f"model.norm.{kind}": weights[f"transformer.ln_f.{kind}"] for kind in ("weight", "bias")}
    for layer in range(n_layers):
        mine, theirs = f"model.layers.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            own |= {f"{mine}.{name}.{kind}": weights[f"{theirs}.{name}.{kind}"] for name in ("ln_1", "ln_2")}
            qkv = weights[f"{theirs}.attn.c_attn.{kind}"].chunk(3, -1)
            parts = {f"{name}_proj": part for name, part in zip("qkv", qkv, strict=True)}
            parts |= {"o_proj": weights[f"{theirs}.attn.c_proj.{kind}"]}
            parts |= {
                "up_proj": weights[f"{theirs}.mlp.c_fc.{kind}"],
                "down_proj": weights[f"{theirs}.mlp.c_proj.{kind}"],
            }
            own |= {f"{mine}.{name}.{kind}": value.T if value.ndim == 2 else value for name, value in parts.items()}
    net.load_state_dict({name: value.detach().float().cpu() for name, value in own.items()})
    return net
