"""Small nets, stacks of them, and a Llama of transformers with the same weights, for the tests of training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from iclmech.training import NetConfig, SmallNet, TokenBatch, stack

CONFIG = NetConfig(n_layers=2, d_model=32, n_heads=2, d_mlp=(0, 48), n_ctx=64, rope_theta=10.0, init_std=None)
VOCABULARY, ROWS, LENGTH = 11, 16, 9


def nets(n: int, config: NetConfig = CONFIG, d_vocab: int = VOCABULARY) -> list[SmallNet]:
    """Nets of seeds 0 to n - 1, with norms that are not 1."""
    made = [SmallNet(config, d_vocab, torch.Generator().manual_seed(seed)) for seed in range(n)]
    with torch.no_grad():
        for seed, net in enumerate(made):
            for name, parameter in net.named_parameters():
                if "norm" in name:
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return made


def net_and_stack(n: int, config: NetConfig = CONFIG) -> tuple[list[SmallNet], SmallNet]:
    """Nets, and a stack of copies of them."""
    alone = nets(n, config)
    return alone, stack(alone)


def ids_of(n: int | None = None, seed: int = 0) -> Tensor:
    """Random ids [row, position], or [model, row, position]."""
    lead = () if n is None else (n,)
    return torch.randint(0, VOCABULARY, (*lead, ROWS, LENGTH), generator=torch.Generator().manual_seed(seed))


def batch_of(n: int, seed: int, last: bool = False) -> TokenBatch:
    """A batch with data of its own for each of n models."""
    make = torch.Generator().manual_seed(100 + seed)
    places = ROWS if last else 48
    targets = torch.randint(0, VOCABULARY, (n, places), generator=make)
    if last:
        return TokenBatch(ids_of(n, seed), targets)
    at = torch.stack([torch.randperm(ROWS * LENGTH, generator=make)[:places] for _ in range(n)])
    weights = torch.rand(n, places, generator=make)
    return TokenBatch(ids_of(n, seed), targets, at, weights, weights > 0.3)


def batch_for(batch: TokenBatch, model: int) -> TokenBatch:
    """What one model of a stack gets of a batch."""
    parts = (batch.rows, batch.targets, batch.at, batch.weights, batch.scored)
    return TokenBatch(*(None if part is None else part[model] for part in parts))  # type: ignore[arg-type]


def different(one: SmallNet, whole: SmallNet, model: int, gradients: bool = False) -> list[str]:
    """Names of parameters (or gradients) of a net that are not, to the bit, those of a model of a stack."""
    pairs = zip(one.named_parameters(), whole.parameters(), strict=True)
    if gradients:
        return [name for (name, p), q in pairs if not torch.equal(p.grad, q.grad[model])]  # type: ignore[arg-type, index]
    return [name for (name, p), q in pairs if not torch.equal(p, q[model])]


def llama(net: SmallNet, weights: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> Any:
    """`LlamaForCausalLM` of transformers with these weights."""
    config = LlamaConfig(**net.config.hf_config(net.d_vocab) | {"pad_token_id": None}, attn_implementation="eager")
    plain = LlamaForCausalLM(config).eval().to(dtype)
    missing = plain.load_state_dict({name: value.to(dtype) for name, value in weights.items()}, strict=False)
    assert not missing.unexpected_keys
    assert all("rotary" in key for key in missing.missing_keys)
    return plain
