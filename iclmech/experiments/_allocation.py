"""`attention_allocation`: attention to BOS, demonstrations and query; the chat template's part in it; steering."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import Claim, Result, by_interval, provenance
from iclmech.analysis import circuit, metrics
from iclmech.analysis.statistics import unit_means
from iclmech.captures import capture
from iclmech.interventions import Intervention, scale_edges
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from ._ablated_heads import ranked
from ._allocation_request import ALLOCATION_OF_ATTENTION, AllocationRequest
from ._experiment import Given

STEERING = ("none", "steered", "random_keys")
_PATTERNS = ("attn_pattern", "context_pattern")


class Allocation(Result):
    """Where the prediction token's attention goes.

    `data`: `allocation` (template, layer, head, part: bos, context, query), means over queries that sum to 1; `context_share`,
    `context_share_ci` (template, layer[, bound]): share of the attention off BOS on the demonstrations, mean over heads;
    `share_by_query` (template, query): its mean over layers; `accuracy`, `accuracy_ci`, `right` (template, steering[, query]):
    none, steered (chosen heads read the query's own tokens less), random_keys (as many random keys less). template: without,
    and with where the tokenizer has a chat template.
    """

    kind = "allocation"

    def judged(self) -> list[Claim]:
        """What the chat template takes from the demonstrations, and what steering does beside its control."""
        claims = []
        if self.data.sizes["template"] > 1:
            share = self.data["share_by_query"]
            lost = (share.sel(template="without") - share.sel(template="with")).values
            claims.append(
                self._paired("The chat template takes attention away from the demonstrations", lost, "without template")
            )
        for template in self.data["template"].values:
            right = self.data["right"].sel(template=template)
            gain = (right.sel(steering="steered") - right.sel(steering="random_keys")).values
            claim = f"Attention steered to the demonstrations answers better, {template} chat template"
            claims.append(self._paired(claim, gain, "as many random keys weakened"))
        return claims

    def _paired(self, claim: str, difference: np.ndarray, control: str) -> Claim:
        means = unit_means(difference, self.data["demonstrations"].values)
        low, high = (float(v) for v in np.nanquantile(means, [0.025, 0.975]))
        rule = "mean difference, paired by query; its 95 % interval (bootstrap over demonstration sets) lies above zero"
        verdict = by_interval(low, high) if low != high else "not shown"
        return Claim(claim, float(np.nanmean(difference)), low, high, control, rule, verdict)


def attention_allocation(
    model: ICLModel | str,
    task: Task | str,
    k: int = 8,
    n_queries: int = 64,
    *,
    n_contexts: int = 8,
    factor: float = 0.1,
    heads: float = 0.1,
    seed: int = 0,
    level: float = 0.95,
    progress: bool = False,
) -> Allocation:
    """Attention of the prediction token to BOS, demonstrations and query, without chat template and with it.

    Then the heads that read the demonstrations most, on training queries, have their attention to the query's own tokens
    multiplied by `factor`; the control weakens as many random keys of the same heads.

    Args:
        model, task: what to study, or the names of both.
        k, n_queries, n_contexts: demonstrations, queries, demonstration sets.
        factor: 0 to 1.
        heads: share of all heads that are steered.
        seed, level, progress: as elsewhere.

    Returns:
        An `Allocation`.

    Raises:
        InterventionError: a negative factor.

    Source: Wang et al. (arXiv 2411.02688), for the question; steering after Zhang et al. (arXiv 2311.02262).
    """
    given = Given()
    names = {"model": given.name("model", model, by="name"), "task": given.name("task", task, by="name")}
    request = AllocationRequest(**names, k=k, n_queries=n_queries, n_contexts=n_contexts, factor=float(factor), heads=float(heads), seed=seed, level=level)  # fmt: skip
    return ALLOCATION_OF_ATTENTION.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]


def run_allocation(request: AllocationRequest, *, progress: bool, model: ICLModel, task: Task) -> Allocation:
    """Both templates where there are two."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    templates = ["without", *(["with"] if getattr(tokenizer, "chat_template", None) else [])]
    found: list[tuple[Tensor, dict[str, Tensor]]] = []
    prompts = None
    for template in templates:
        prompts, training = (
            build_prompts(model, task, request.k, request.n_queries, request.seed, request.n_contexts, queries_from=split, chat=template == "with")
            for split in ("test", "train")
        )  # fmt: skip
        found.append(_measure(model, prompts, training, request))
    units = np.array([query.context for query in prompts.queries]) if prompts else np.array([0])
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash},
        prompts=[prompts.hash] if prompts else [], level=request.level,
    )  # fmt: skip
    return Allocation(_dataset(templates, found, units, request), provenance=origin)


def _measure(
    model: ICLModel, prompts: PromptSet, training: PromptSet, request: AllocationRequest
) -> tuple[Tensor, dict[str, Tensor]]:
    """(attention by role, right answers by steering)."""
    seen = capture(model, training, "icl", _PATTERNS)
    share = circuit.context_share(circuit.role_mass(seen, training)).nanmean(dim=0).nan_to_num()
    chosen = ranked(share)[: max(1, round(request.heads * share.numel()))]
    acts = capture(model, prompts, "icl", _PATTERNS)
    right = {"none": metrics.correct(acts, prompts.labels)}
    for name, control in (("steered", None), ("random_keys", "random")):
        steer = _steering(prompts, chosen, request.factor, control, request.seed)
        right[name] = metrics.correct(capture(model, prompts, "icl", (), interventions=steer), prompts.labels)
    return circuit.role_mass(acts, prompts), right


def _steering(
    prompts: PromptSet, heads: Sequence[tuple[int, int]], factor: float, control: Any, seed: int
) -> list[Intervention]:
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in heads:
        by_layer[layer].append(head)
    return [
        scale_edges(prompts, "x_q->s_q", factor, layers=layer, heads=which, control=control, seed=seed)
        for layer, which in sorted(by_layer.items())
    ]


def _dataset(
    templates: list[str], found: list[tuple[Tensor, dict[str, Tensor]]], units: np.ndarray, request: AllocationRequest
) -> xr.Dataset:
    ends = [(1 - request.level) / 2, (1 + request.level) / 2]
    mass = torch.stack([one for one, _ in found])  # [template, query, layer, head, role]
    share = circuit.context_share(mass).nanmean(dim=-1).double()  # [template, query, layer]
    right = torch.stack([torch.stack([one[name] for name in STEERING]) for _, one in found]).double()

    def interval(values: Tensor, axis: int) -> np.ndarray:
        means = unit_means(np.moveaxis(values.numpy(), axis, 0), units)
        return np.moveaxis(np.nanquantile(means, ends, axis=0), 0, -1)

    data = xr.Dataset(
        {
            "allocation": (("template", "layer", "head", "part"), circuit.allocation(mass).mean(dim=1).numpy()),
            "context_share": (("template", "layer"), share.nanmean(dim=1).numpy()),
            "context_share_ci": (("template", "layer", "bound"), interval(share, 1)),
            "share_by_query": (("template", "query"), share.nanmean(dim=-1).numpy()),
            "accuracy": (("template", "steering"), right.nanmean(dim=-1).numpy()),
            "accuracy_ci": (("template", "steering", "bound"), interval(right, 2)),
            "right": (("template", "steering", "query"), right.numpy()),
            "demonstrations": (("query",), units),
        }
    )
    names = {
        "template": templates,
        "steering": list(STEERING),
        "part": list(circuit.ALLOCATION),
        "bound": ["low", "high"],
    }
    return data.assign_coords(layer=range(data.sizes["layer"]), head=range(data.sizes["head"]), **names)
