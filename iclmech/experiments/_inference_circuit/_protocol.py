"""`inference_circuit`: which steps of the inference circuit a model takes on a task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from iclmech._base import ICLMechWarning, np_rng, provenance
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, load_task

from ..comparison._plan import seeds_of
from ._cuts import choose_windows, joined_clusters, run, run_cuts
from ._dataset import build_dataset
from ._plan import EDGES, SETTINGS, CircuitError, CircuitPlan, Reference, Window, edges_of, windows_of
from ._result import Circuit
from ._states import state_measures

_HELD_OUT_CONTEXTS = 4


def inference_circuit(
    model: ICLModel,
    task: Task | str,
    k: int = 32,
    n_queries: int = 128,
    *,
    n_contexts: int = 4,
    seeds: int | Sequence[int] = 3,
    edges: Sequence[str] = EDGES,
    windows: Sequence[Window] | None = None,
    n_held_out: int = 64,
    reference: Reference | None = None,
    untrained: bool = True,
    separator: str | None = None,
    selection: Any = "random",
    n_boot: int = 1000,
    level: float = 0.95,
    progress: bool = False,
) -> Circuit:
    """Measure the three steps of the inference circuit, and cut each of them, against controls.

    1. *Summarize*: at the forerunner s the state encodes the input x. 2. *Semantics merge*: s → label y. 3. *Retrieval and
    copy*: the query's forerunner s_q attends to labels of alike demonstrations. States and attention are measured in the
    intact (and an untrained) model; then the edges of each step are cut in a window of layers, and the accuracy lost is
    held against two controls: as many random edges of the same destinations, and other edges of the same attention mass.
    The window of each edge is chosen on other contexts, with queries from the training examples.

    Parameters
    ----------
    task: a classification task, or the name of one.
    k, n_queries, n_contexts, seeds: demonstrations; queries and demonstration sets per seed; seeds, each with demonstration
        sets and queries of its own. Intervals resample the n_contexts · seeds demonstration sets, then the queries in them.
    edges: "source->destination" in names of token groups (`interventions.ROLE_NAMES`). A model with more than one way to
        the answer loses little by any of the paper's cuts: `edges=(*EDGES, *BYPASSES)` adds cuts that leave no way around.
        Where a model reads the token behind the label, "sep->s_q".
    windows: candidate windows (first layer, last layer); by default a quarter, half and all of the depth, sliding.
    n_held_out: queries on which windows are chosen (by the loss), behind up to four demonstration sets of their own.
    reference: an encoder of your own, texts → features [text, d]; adds kernel alignment of s_q with it.
    untrained: measure states and attention in a freshly drawn model as well, one per seed.
    separator, selection: as in `build_prompts`.

    Raises `CircuitError` for a task without label words, or windows that the model does not have.

    Source: Cho, Kato, Sakai, Inoue, Revisiting In-context Learning Inference Circuit (arXiv 2410.04468, ICLR 2025); the
    controls are stricter than theirs.
    """
    task = load_task(task) if isinstance(task, str) else task
    if not task.label_words:
        raise CircuitError(f"the task {task.name!r} has free-text answers; the circuit is defined by label words.")
    if k < 1:
        raise CircuitError(f"got k={k}; the circuit is about demonstrations: expected at least 1.")
    plan = CircuitPlan(
        task, k, n_queries, n_contexts, seeds_of(seeds), edges_of(edges), windows_of(model, windows),
        n_held_out, reference, untrained, separator, selection, n_boot, level, progress,
    )  # fmt: skip
    notes: list[str] = []
    held_out = _prompts(
        model, plan, int(np_rng(plan.seeds[0], "held-out contexts").integers(2**31)), notes, held_out=True
    )
    prompts = [_prompts(model, plan, seed, notes) for seed in plan.seeds]
    selection = choose_windows(model, held_out, plan)
    settings = {name: [_setting(model, p, name) for p in prompts] for name in SETTINGS}
    states = {"trained": [state_measures(model, p, reference) for p in prompts]}
    if untrained:
        states["untrained"] = [
            state_measures(model.untrained(seed), p, reference) for seed, p in zip(plan.seeds, prompts, strict=True)
        ]
    data = build_dataset(
        plan,
        {
            name: (joined_clusters([s.correct for s in found]), joined_clusters([s.nll for s in found]))
            for name, found in settings.items()
        },
        run_cuts(model, prompts, selection[0], plan),
        {variant: _joined(found) for variant, found in states.items()},
        state_measures(model, held_out, reference),
        selection,
        _chance(prompts),
    )
    data.attrs |= {"n_tokens": float(np.mean([len(c.tokens) for p in prompts for c in p.contexts]))}
    return Circuit.of(data, _provenance(model, plan, prompts, notes))


def _prompts(model: ICLModel, plan: CircuitPlan, seed: int, notes: list[str], held_out: bool = False) -> PromptSet:
    more: dict[str, Any] = {"queries_from": "train"} if held_out else {}
    n_contexts = min(plan.n_contexts, _HELD_OUT_CONTEXTS) if held_out else plan.n_contexts
    n_queries = max(plan.n_held_out if held_out else plan.n_queries, n_contexts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ICLMechWarning)
        prompts = build_prompts(
            model, plan.task, plan.k, n_queries, seed, n_contexts,
            separator=plan.separator, selection=plan.selection, query_seed=seed, **more,
        )  # fmt: skip
    notes += [str(w.message) for w in caught if str(w.message) not in notes]
    return prompts


def _setting(model: ICLModel, prompts: PromptSet, name: str) -> Any:
    if name == "icl:shuffled_labels":
        return run(model, prompts.with_shuffled_labels(prompts.seed), "icl")
    return run(model, prompts, name)


def _joined(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: joined_clusters([f[name] for f in found]) for name in found[0]}


def _chance(prompts: list[PromptSet]) -> float:
    """Accuracy of the best constant answer: the share of the most frequent class among the queries."""
    labels = [q.label for p in prompts for q in p.queries if q.label is not None]
    return float(np.bincount(labels).max() / len(labels)) if labels else float("nan")


def _provenance(model: ICLModel, plan: CircuitPlan, prompts: list[PromptSet], notes: list[str]) -> dict[str, Any]:
    return provenance(
        model={"name": model.name, "hash": model.hash(), "applied": list(model.applied), "dtype": str(model.dtype)},
        device=str(model.device),
        task={"name": plan.task.name, "hash": plan.task.hash},
        prompts=[p.hash for p in prompts],
        k_kept=prompts[0].k,
        notes=notes,
        **plan.record(),
    )
