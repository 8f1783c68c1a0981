"""What `compare` can be asked, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .._request import ModelTaskRequest


@dataclass(frozen=True)
class CompareRequest(ModelTaskRequest):
    """In-context learning beside weight updates from the same demonstrations, with controls."""

    k: int = 32
    """Demonstrations per prompt."""
    n_queries: int = 256
    """Queries, the same for every seed."""
    updates: tuple[str, ...] = ("gd", "lcgd")
    """Updates, separated by commas: gd, lcgd, lcgd_bottom_up, momentum, or a registered one."""
    seeds: int | tuple[int, ...] = 5
    """Draws of demonstrations: how many, or which, separated by commas."""
    lr: float | tuple[float, ...] | str = "auto"
    """auto, a number, numbers separated by commas (all are kept), or gd=0.01/0.1,lcgd=0.03/0.3."""
    keep_queries: bool = False
    """Keep every measure by query as well."""
    metrics: tuple[str, ...] = ()
    """Further measures, registered ones, separated by commas."""
    controls: tuple[str, ...] = ("all",)
    """all, essential, none, or names separated by commas."""
    preset: str | None = None
    """deutch2024 follows the published protocol."""
    loss: str | None = None
    """label or all: the tokens that the updates learn from; by default label, or the preset's."""
    parameters: str = "attn_kv"
    """attn_kv, attn_v or all: what the updates train."""
    position: str | None = None
    """prediction or label: where states are read; by default prediction, or the preset's."""
    separator: str | None = None
    """After each demonstration (\\n for a line break, <eos> for end-of-text); by default the task's own, or the preset's."""
    selection: str = "random"
    """random or balanced: how demonstrations are drawn."""
    wrong_task: str | None = None
    """Task of the wrong-task control; by default another shipped one beside a shipped task, else none."""
    wrong_data: str | None = None
    """Records of that task, as with --data."""
    embeddings: str = "keep"
    """keep or fresh: embeddings of the untrained models."""
    sites: tuple[str, ...] | None = None
    """What is captured; by default what the measures need."""
    match_positions: bool = False
    """Place zero-shot queries at the positions that they have behind the demonstrations."""
    n_boot: int = 1000
    """Of no effect any more: intervals are two-way, not resampled."""
    level: float = 0.95
    """Level of the intervals."""
    n_examples: int = 3
    """Prompts whose attention is kept for looking at."""
    n_permutations: int = 6
    """Permutations of the labels in the shuffled-label controls, averaged."""
    calibrate: str | None = None
    """dc, cc or bc: accuracies with the prior of each context taken out, beside the raw ones."""
    label_specific: bool = False
    """Measure what the right labels add to the similarity: about 20 more updates for each update and seed."""


def request_of_plan(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The request behind a provenance that was written before requests were: from its plan."""
    plan, model, task = (origin.get(key) or {} for key in ("plan", "model", "task"))
    known = {f.name for f in fields(CompareRequest)}
    record = {
        name: value for name, value in plan.items() if name in known and name not in ("position", "parameters", "sites")
    }
    seeds = list(plan.get("seeds", ()))
    record["seeds"] = len(seeds) if seeds == list(range(len(seeds))) else seeds
    record |= {
        "model": model.get("name", ""),
        "task": task.get("name", ""),
        "k": origin.get("k_requested", origin.get("k")),
    }
    for name, custom in (("position", "function"), ("parameters", "selector")):
        record[name] = "custom:unhashed" if plan.get(name) == custom else plan.get(name)
    record["metrics"] = [f"{name}=custom:unhashed" for name in plan.get("metrics", ())]
    lr = plan.get("lr", "auto")
    record["lr"] = (
        lr if isinstance(lr, str) else ",".join(f"{u}={'/'.join(f'{r:.12g}' for r in g)}" for u, g in lr.items())
    )
    if plan.get("preset"):
        record |= {"loss": None, "position": None, "separator": None, "lr": "auto"}
    return record
