"""What the states and the attention of the intact model say about the three steps, for one prompt set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from iclmech.analysis import circuit
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._cuts import by_context
from ._plan import Reference

LAYER_MEASURES = (
    *("centroid", "purity_query", "purity_demonstrations", "reference_alignment", "merge_alignment"),
    *("assigned_residual", "assigned_residual_share"),
)
HEAD_MEASURES = (
    *("copy", "induction", "induction_strength", "correct_induction"),
    *("assigned_attention", "assigned_attention_share", "assigned_qk", "assigned_qk_share"),
)
ITEM_MEASURES = ("gold_share", "majority_vote", "purity_query_chance", "purity_demonstrations_chance")


def state_measures(model: ICLModel, prompts: PromptSet, reference: Reference | None) -> dict[str, np.ndarray]:
    """Every measure as [context, item, layer(, head)]: items are queries, or demonstrations for purity_demonstrations,
    merge_alignment and copy. ITEM_MEASURES have no layer. `mass`: [context, item, layer, head, role]."""
    query_sites = ("resid_post", "q", "attn_pattern", "context_pattern")
    acts = capture(model, prompts, "icl", query_sites)
    first = [next(j for j, q in enumerate(prompts.queries) if q.context == c) for c in range(len(prompts.contexts))]
    one_each = replace(prompts, queries=[prompts.queries[j] for j in first])
    y = capture(model, one_each, "icl", ("resid_post", "k", "context_pattern"), position="labels")
    s = capture(model, one_each, "icl", ("resid_post",), position="forerunners")
    found = _retrieval(model, prompts, acts, y)
    found |= _summaries(prompts, acts, s, reference)
    found |= _merging(prompts, s, y)
    found["mass"] = by_context(prompts, circuit.role_mass(acts, prompts))
    return found


def _per_context(prompts: PromptSet, values: Tensor, measure: Callable[[Tensor, Tensor, list[int]], Tensor]) -> Tensor:
    """A measure over the items of each context, layer by layer: values [query, layer, d] -> [query, layer]."""
    out = torch.full(values.shape[:2], torch.nan)
    labels = torch.tensor([-1 if q.label is None else q.label for q in prompts.queries])
    for c in range(len(prompts.contexts)):
        mine = [j for j, q in enumerate(prompts.queries) if q.context == c]
        if len(mine) < 4:
            continue
        for layer in range(values.shape[1]):
            out[mine, layer] = measure(values[mine, layer], labels[mine], mine)
    return out


def _summaries(
    prompts: PromptSet, acts: Activations, s: Activations, reference: Reference | None
) -> dict[str, np.ndarray]:
    states = acts["resid_post"]
    found = {
        "centroid": _per_context(prompts, states, lambda x, label, _: circuit.centroid_hits(x, label)),
        "purity_query": _per_context(prompts, states, lambda x, label, _: circuit.neighbour_purity(x, label)),
        "purity_query_chance": _per_context(prompts, states[:, :1], lambda _x, label, _: circuit.purity_chance(label))[
            :, 0
        ],
    }
    if reference is not None:
        features = torch.as_tensor(reference([q.text for q in prompts.queries])).float()
        found["reference_alignment"] = _per_context(
            prompts, states, lambda x, _, mine: circuit.kernel_alignment(x, features[mine])
        )
    out = {name: by_context(prompts, value) for name, value in found.items()}
    labels = _demonstration_labels(prompts)
    if labels.shape[1] >= 4:
        purity = [
            torch.stack([circuit.neighbour_purity(x, label) for x in layers], dim=-1)
            for layers, label in zip(s["resid_post"], labels, strict=True)
        ]
        out["purity_demonstrations"] = torch.stack(purity).double().numpy()
        out["purity_demonstrations_chance"] = torch.stack([circuit.purity_chance(x) for x in labels]).double().numpy()
    return out


def _merging(prompts: PromptSet, s: Activations, y: Activations) -> dict[str, np.ndarray]:
    """Copy magnitude, and whether y at layer l + 1 has the neighbourhoods of s at layer l (layer l; NaN at the last)."""
    copies, alignments = [], []
    for c, context in enumerate(prompts.contexts):
        at = torch.tensor([_label_start(d) - 1 for d in context.demonstrations])
        pattern = y["context_pattern"][c].permute(2, 0, 1, 3).nan_to_num()  # [demonstration, layer, head, context]
        copies.append(circuit.copy_magnitude(pattern, at))
        a, b = s["resid_post"][c], y["resid_post"][c]  # [layer, demonstration, d]
        n = a.shape[1]
        aligned = [circuit.kernel_alignment(b[layer + 1], a[layer]) for layer in range(len(a) - 1)] if n >= 4 else []
        alignments.append(torch.stack([*aligned, *[torch.full((n,), torch.nan)] * (len(a) - len(aligned))], dim=-1))
    return {"copy": torch.stack(copies).double().numpy(), "merge_alignment": torch.stack(alignments).double().numpy()}


def _retrieval(model: ICLModel, prompts: PromptSet, acts: Activations, y: Activations) -> dict[str, np.ndarray]:
    owner = torch.tensor([q.context for q in prompts.queries])
    gold = torch.tensor([-1 if q.label is None else q.label for q in prompts.queries])
    labels = _demonstration_labels(prompts)[owner]
    at = torch.tensor([[_label_start(d) for d in c.demonstrations] for c in prompts.contexts])[owner]
    correct, n_classes = labels == gold[:, None], len(prompts.contexts[0].label_words)
    attention = circuit.label_attention(acts["context_pattern"].nan_to_num(), at)
    states = y["resid_post"].transpose(1, 2)[owner]  # [query, demonstration, layer, d]
    keys = y["k"].transpose(1, 2)[owner]
    scores = model.capabilities.scores
    scale = torch.tensor([scores.scale_in(layer) for layer in range(model.shape.n_layers)], dtype=keys.dtype)
    votes = {
        "attention": circuit.vote(attention, labels, n_classes),
        "residual": circuit.vote(circuit.cosine_weights(acts["resid_post"], states), labels, n_classes),
        "qk": circuit.vote(circuit.qk_weights(acts["q"], keys, scale), labels, n_classes),
        "even": circuit.vote(torch.ones(*labels.shape), labels, n_classes),
    }
    judged = {name: circuit.assigned(value, gold.clamp(min=0)) for name, value in votes.items()}
    found = {
        "induction": circuit.induction_magnitude(attention),
        "induction_strength": circuit.induction_strength(attention, correct),
        "correct_induction": circuit.correct_induction(attention, correct),
        "gold_share": judged["even"][1],
        "majority_vote": judged["even"][0],
    }
    for name in ("attention", "residual", "qk"):
        found[f"assigned_{name}"], found[f"assigned_{name}_share"] = judged[name]
    known = gold >= 0
    return {
        name: by_context(prompts, torch.where(known.view(-1, *[1] * (v.ndim - 1)), v, torch.nan))
        for name, v in found.items()
    }


def _label_start(demonstration: object) -> int:
    """Index of a demonstration's first label token in its context."""
    return demonstration.context_start + demonstration.label_span[0] - 1  # type: ignore[attr-defined]  # a Demonstration


def _demonstration_labels(prompts: PromptSet) -> Tensor:
    return torch.tensor([[-1 if d.label is None else d.label for d in c.demonstrations] for c in prompts.contexts])
