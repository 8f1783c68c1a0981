"""The effects of heads on a task by name; on prompts of one's own, `iclmech.vectors.head_effects` does the same."""

from __future__ import annotations

from typing import Any

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.vectors import HeadEffects, head_effects

from ._head_effects_request import HeadEffectsRequest


def run_head_effects(request: HeadEffectsRequest, *, progress: bool, model: ICLModel, task: Task) -> HeadEffects:
    """Build the prompts and measure."""
    prompts = own_contexts(model, task, request.k, request.n_queries, request.seed)
    found = head_effects(
        model,
        prompts,
        request.method,
        n=request.n,
        n_random=request.n_random,
        seed=request.seed,
        progress=progress,
    )
    return found.with_provenance(task={"name": task.name, "hash": task.hash}, notes=prompts.meta.get("notes", []))


def own_contexts(model: ICLModel, task: Task, k: int, n_queries: int, seed: int, **more: Any) -> PromptSet:
    """Prompts with a context for each query, all under the same label words."""
    return build_prompts(model, task, k, n_queries, seed, n_contexts=n_queries, label_words="shared", **more)
