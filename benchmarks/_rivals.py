"""The same work as others write it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from iclmech.models import ICLModel
from iclmech.tasks import Demonstration, PromptSet

SITES = ("hook_attn_out", "hook_resid_post", "attn.hook_attn_scores")


@torch.no_grad()
def transformerlens(model: ICLModel, prompts: PromptSet, queries: list[int], batch: int) -> dict[str, Tensor]:
    """`run_with_cache` on whole prompts with a names_filter, `batch` prompts at a time, padded right."""
    names = {f"blocks.{layer}.{site}" for layer in range(model.shape.n_layers) for site in SITES}
    found: dict[str, list[Tensor]] = {"attn_out": [], "resid_post": [], "label_scores": []}
    for start in range(0, len(queries), batch):
        rows = [prompts.sequence(j) for j in queries[start : start + batch]]
        longest = max(map(len, rows))
        tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        logits, cache = model.hooked.run_with_cache(tokens, names_filter=lambda name: name in names)
        for n, row in enumerate(rows):
            last = len(row) - 1
            for site in ("attn_out", "resid_post"):
                found[site].append(
                    torch.stack([cache[f"blocks.{x}.hook_{site}"][n, last] for x in range(model.shape.n_layers)])
                )
            scores = torch.log_softmax(logits[n, last], -1)
            found["label_scores"].append(scores[[word[0] for word in prompts.contexts[0].label_tokens]])
    return {name: torch.stack(values) for name, values in found.items()}


@torch.no_grad()
def transformers(plain: Any, prompts: PromptSet, queries: list[int]) -> dict[str, Tensor]:
    """Plain transformers, one whole prompt at a time, with output_attentions and output_hidden_states."""
    states, scores = [], []
    for j in queries:
        out = plain(torch.tensor([prompts.sequence(j)]), output_attentions=True, output_hidden_states=True)
        states.append(torch.stack([state[0, -1] for state in out.hidden_states[1:-1]]))
        words = [word[0] for word in prompts.contexts[0].label_tokens]
        scores.append(torch.log_softmax(out.logits[0, -1], -1)[words])
    return {"resid_post": torch.stack(states), "label_scores": torch.stack(scores)}


def papers_lcgd(plain: Any, demonstration: Demonstration, lr: float, loss: str) -> dict[int, Tensor]:
    """One step the papers' way: one graph, the logits of all layers at all tokens under masked labels, all gradients.

    Returns the change of every layer's fused q,k,v weight, keys' and values' columns; the model is changed.
    """
    tokens, kept = torch.tensor([demonstration.tokens]), []
    handles = []
    for block in plain.transformer.h:
        handles.append(block.register_forward_pre_hook(lambda module, args: (args[0].detach(), *args[1:])))
        handles.append(block.register_forward_hook(lambda module, args, out: kept.append(_first(out))))
    plain.zero_grad()
    plain.requires_grad_(True)
    plain.transformer(tokens)
    labels = tokens.clone()
    labels[0, : 1 if loss == "all" else demonstration.label_span[0]] = -100
    total = torch.zeros(())
    for state in kept:
        logits = plain.lm_head(plain.transformer.ln_f(state))
        total = total + F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    total.backward()
    for handle in handles:
        handle.remove()
    return _descend(plain, lr)


def vanilla_gd(plain: Any, demonstration: Demonstration, lr: float, loss: str) -> dict[int, Tensor]:
    """One step as users write it: the model's own loss on masked labels, backward to the key and value projections."""
    tokens = torch.tensor([demonstration.tokens])
    labels = tokens.clone()
    labels[0, : 1 if loss == "all" else demonstration.label_span[0]] = -100
    plain.zero_grad()
    plain.requires_grad_(False)
    for block in plain.transformer.h:
        block.attn.c_attn.requires_grad_(True)
    plain(tokens, labels=labels).loss.backward()
    return _descend(plain, lr)


@torch.no_grad()
def _descend(plain: Any, lr: float) -> dict[int, Tensor]:
    changes = {}
    for layer, block in enumerate(plain.transformer.h):
        fused, width = block.attn.c_attn, block.attn.c_attn.weight.shape[0]
        for parameter in (fused.weight, fused.bias):
            parameter.grad[..., :width] = 0  # queries are not trained
            parameter.sub_(parameter.grad, alpha=lr)
        changes[layer] = -lr * fused.weight.grad[:, width:]
    return changes


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
