"""Accuracy with edges cut, with as many other edges cut, and the window of layers in which it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from iclmech._base import track
from iclmech.analysis import metrics
from iclmech.captures import Activations, capture
from iclmech.interventions import Control, CutMeter, EdgeSet, Intervention, RoleEdges, cut_edges, parse_edges
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._plan import ARMS, CircuitPlan, Window


@dataclass(frozen=True)
class Scores:
    """How every query fared: 1 or 0 for right or wrong, and -log p of the right label word; [context, item]."""

    correct: np.ndarray
    nll: np.ndarray


def by_context(prompts: PromptSet, values: torch.Tensor) -> np.ndarray:
    """[query, ...] -> [context, item, ...], NaN where a context has fewer queries than another."""
    groups = [[j for j, q in enumerate(prompts.queries) if q.context == c] for c in range(len(prompts.contexts))]
    widest = max(map(len, groups))
    out = np.full((len(groups), widest, *values.shape[1:]), np.nan)
    for number, group in enumerate(groups):
        out[number, : len(group)] = values[group].double().numpy()
    return out


def scores_of(prompts: PromptSet, acts: Activations) -> Scores:
    """Correctness and loss of a capture."""
    labels = [q.label for q in prompts.queries]
    pair = (metrics.correct(acts, labels), metrics.label_nll(acts, labels))
    return Scores(*(by_context(prompts, value) for value in pair))


def run(model: ICLModel, prompts: PromptSet, setting: Any, interventions: tuple[Intervention, ...] = ()) -> Scores:
    """Correctness and loss in one setting under interventions."""
    return scores_of(prompts, capture(model, prompts, setting, (), interventions=interventions))


def run_cut(
    model: ICLModel, prompts: PromptSet, edges: EdgeSet, window: Window, arm: str, seed: int
) -> tuple[Scores, CutMeter]:
    """Correctness and loss with the edges (or the control's) cut in a window of layers, and what was cut."""
    control: Control | None = None if arm == "cut" else arm  # type: ignore[assignment]  # one of ARMS
    meter = CutMeter()
    layers = range(window[0], window[1] + 1)
    cut = cut_edges(prompts, edges, layers=layers, control=control, seed=seed, meter=meter)
    return run(model, prompts, "icl", (cut,)), meter


def choose_windows(
    model: ICLModel, prompts: PromptSet, plan: CircuitPlan
) -> tuple[dict[str, Window], np.ndarray, np.ndarray]:
    """For every edge the window whose cut costs most beyond its random control, on held-out queries and contexts.

    The loss decides (-log p of the right label): accuracy moves in steps too coarse for a few dozen queries. Returns (windows, accuracy beyond the control [edge, window], loss likewise).
    """
    accuracy = np.zeros((len(plan.edges), len(plan.windows)))
    nll = np.zeros_like(accuracy)
    sets = [RoleEdges(prompts, *parse_edges(edge)) for edge in plan.edges]  # each finds its tokens once
    pairs = [(e, w) for e in range(len(plan.edges)) for w in range(len(plan.windows))]

    def excess(e: int, w: int) -> list[float]:
        cut, other = (run_cut(model, prompts, sets[e], plan.windows[w], arm, 0)[0] for arm in ("cut", "random"))
        return [
            float(np.nanmean(other.correct) - np.nanmean(cut.correct)),
            float(np.nanmean(cut.nll) - np.nanmean(other.nll)),
        ]

    for e, w in track(pairs, "choosing windows", enabled=plan.progress):
        name = f"windows / {plan.edges[e]} {plan.windows[w]}"
        accuracy[e, w], nll[e, w] = plan.cells.once(name, partial(excess, e, w))
    best = dict(zip(plan.edges, nll.argmax(axis=1).tolist(), strict=True))
    return {edge: plan.windows[w] for edge, w in best.items()}, accuracy, nll


@dataclass
class CutRuns:
    """Arrays over (edge, arm, cluster, item), clusters being the contexts of all seeds, and what was cut."""

    correct: np.ndarray
    nll: np.ndarray
    edges_cut: np.ndarray  # [edge, arm], per destination, layer and head
    mass_cut: np.ndarray


def run_cuts(model: ICLModel, prompts: list[PromptSet], windows: dict[str, Window], plan: CircuitPlan) -> CutRuns:
    """Every edge with its controls, on the queries of all seeds."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    sets = {(edge, n): RoleEdges(p, *parse_edges(edge)) for edge in plan.edges for n, p in enumerate(prompts)}
    wanted = [(edge, arm, n) for edge in plan.edges for arm in ARMS for n in range(len(prompts))]
    for edge, arm, n in track(wanted, "cutting edges", enabled=plan.progress):
        work = partial(_cut_numbers, model, prompts[n], sets[edge, n], windows[edge], arm, plan.seeds[n])
        found = plan.cells.once(f"cuts / {edge} {arm} seed {plan.seeds[n]}", work)
        runs.setdefault((edge, arm), []).append(found)

    def table(field: str) -> np.ndarray:
        return np.array([[_mean([m[field] for m in runs[edge, arm]]) for arm in ARMS] for edge in plan.edges])

    joined = [
        np.stack([np.stack([joined_clusters([s[f] for s in runs[edge, arm]]) for arm in ARMS]) for edge in plan.edges])
        for f in ("correct", "nll")
    ]
    return CutRuns(joined[0], joined[1], table("mean_edges"), table("mean_mass"))


def _cut_numbers(*what: Any) -> dict[str, Any]:
    """What `run_cut` gives, as plain values for a cell."""
    scores, meter = run_cut(*what)
    return {**vars(scores), "mean_edges": meter.mean_edges, "mean_mass": meter.mean_mass}


def joined_clusters(arrays: list[np.ndarray]) -> np.ndarray:
    """Join [context, item, ...] arrays of several seeds to [cluster, item, ...], NaN where items are missing."""
    widest = max(a.shape[1] for a in arrays)
    padding = [[(0, 0), (0, widest - a.shape[1]), *[(0, 0)] * (a.ndim - 2)] for a in arrays]
    return np.concatenate([np.pad(a, p, constant_values=np.nan) for a, p in zip(arrays, padding, strict=True)])


def _mean(values: Sequence[float]) -> float:
    """The mean of what is known; NaN where nothing is: inputs of one token have no edge inside."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
