"""The protocol of `inference_circuit`: prompts → windows → settings, cuts, states → dataset."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from iclmech._base import Cells, ICLMechWarning, np_rng, provenance
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from .._request import seeds_of
from ._cuts import Scores, choose_windows, joined_clusters, run, run_cuts
from ._dataset import build_dataset
from ._plan import SETTINGS, CircuitError, CircuitPlan, Reference, edges_of, windows_of
from ._request import CircuitRequest
from ._result import Circuit
from ._states import state_measures

_HELD_OUT_CONTEXTS = 4


def run_circuit(
    request: CircuitRequest,
    *,
    progress: bool,
    model: ICLModel,
    task: Task,
    reference: Reference | None = None,
    selection: Any = None,
    cells: Cells | None = None,
) -> Circuit:
    """Measure and cut as the request says; `reference` and `selection` are what its "custom:" names stand for, `cells` what
    was finished before."""
    if not task.label_words:
        raise CircuitError(f"the task {task.name!r} has free-text answers; the circuit is defined by label words.")
    if request.k < 1:
        raise CircuitError(f"got k={request.k}; the circuit is about demonstrations: expected at least 1.")
    plan = CircuitPlan(
        request, task, seeds_of(request.seeds), edges_of(request.edges), windows_of(model, request.windows), reference,
        selection if selection is not None else request.selection, progress,
        cells or Cells(),
    )  # fmt: skip
    notes: list[str] = []
    held_out_seed = int(np_rng(plan.seeds[0], "held-out contexts").integers(2**31))
    held_out = _prompts(model, plan, held_out_seed, notes, held_out=True)
    prompts = [_prompts(model, plan, seed, notes) for seed in plan.seeds]
    windows = choose_windows(model, held_out, plan)
    settings = {name: [_setting(model, p, name, plan) for p in prompts] for name in SETTINGS}
    data = build_dataset(
        plan,
        {
            name: (joined_clusters([s.correct for s in found]), joined_clusters([s.nll for s in found]))
            for name, found in settings.items()
        },
        run_cuts(model, prompts, windows[0], plan),
        {variant: _joined(found) for variant, found in _states(model, prompts, plan).items()},
        plan.cells.once("states / held out", partial(state_measures, model, held_out, reference)),
        windows,
        _chance(prompts),
    )
    data.attrs |= {"n_tokens": float(np.mean([len(c.tokens) for p in prompts for c in p.contexts]))}
    return Circuit(data, provenance=_provenance(model, plan, prompts, notes))


def _states(model: ICLModel, prompts: list[PromptSet], plan: CircuitPlan) -> dict[str, list[dict[str, np.ndarray]]]:
    """Measures of states by variant: the model itself and, where asked for, one freshly drawn per seed."""

    def measured(variant: str, p: PromptSet) -> dict[str, np.ndarray]:
        subject = model if variant == "trained" else model.untrained(p.seed)
        return state_measures(subject, p, plan.reference)

    variants = ("trained", "untrained") if plan.request.untrained else ("trained",)
    return {
        v: [plan.cells.once(f"states / {v}, seed {p.seed}", partial(measured, v, p)) for p in prompts] for v in variants
    }


def _prompts(model: ICLModel, plan: CircuitPlan, seed: int, notes: list[str], held_out: bool = False) -> PromptSet:
    more: dict[str, Any] = {"queries_from": "train"} if held_out else {}
    n_contexts = min(plan.request.n_contexts, _HELD_OUT_CONTEXTS) if held_out else plan.request.n_contexts
    n_queries = max(plan.request.n_held_out if held_out else plan.request.n_queries, n_contexts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ICLMechWarning)
        prompts = build_prompts(
            model, plan.task, plan.request.k, n_queries, seed, n_contexts,
            separator=plan.request.separator, selection=plan.selection, query_seed=seed, **more,
        )  # fmt: skip
    notes += [str(w.message) for w in caught if str(w.message) not in notes]
    return prompts


def _setting(model: ICLModel, prompts: PromptSet, name: str, plan: CircuitPlan) -> Scores:
    def scores() -> dict[str, np.ndarray]:
        if name == "icl:shuffled_labels":
            return vars(run(model, prompts.with_shuffled_labels(prompts.seed), "icl"))
        return vars(run(model, prompts, name))

    return Scores(**plan.cells.once(f"settings / {name}, seed {prompts.seed}", scores))


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
