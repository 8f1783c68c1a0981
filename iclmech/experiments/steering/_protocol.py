"""The protocol of `steer`: per seed, prompts → vectors of the method and of its controls → one run of variants → numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iclmech._base import provenance, track
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, list_tasks, load_task
from iclmech.vectors import Vector

from .._experiment import Given
from .._request import seeds_asked, seeds_of
from ._dataset import SteeringNumbers, dataset_of
from ._methods import (
    METHODS,
    Heads,
    heads_of,
    layers_of,
    method_of,
    others_of_same_layers,
    strengths_of,
    usual_strength,
)
from ._request import STEER, SteerRequest
from ._result import Steering
from ._training_prompts import Training, training_prompts
from ._trials import ALL_LAYERS, Grid, SeedNumbers, choose, measure_own, measure_settings, measure_vectors


def steer(
    model: ICLModel | str,
    task: Task | str,
    method: str = "task",
    k: int = 16,
    n_queries: int = 64,
    seeds: int | Sequence[int] = 3,
    *,
    strengths: Sequence[float] = (),
    layers: Sequence[int] = (),
    wrong_task: Task | str | None = None,
    progress: bool = False,
    **more: Any,
) -> Steering:
    """Put a vector in the place of the context, and hold what comes out against the context and against controls.

    Per seed a vector is made of training queries behind demonstrations, its layer is chosen on other training queries, and
    it goes into zero-shot test queries: in every layer at its usual strength, at every strength in the chosen layer. So do
    random vectors of its length, that of another task, those of permuted labels, and each query's own state in context, which
    is the ceiling and at the last layer the context itself. A function vector has one control more: as many other heads of the
    same layers.

    Args:
        model, task: what to study, or the names of both.
        method: "task", "function", "in_context" or "learned"; see `iclmech.vectors`.
        k, n_queries: demonstrations, and test queries (the same for every seed).
        seeds: draws of demonstrations: how many, or which.
        strengths, layers: by default the method's strengths and all layers.
        wrong_task: for the control; by default another task of the same source, else one of words/.
        progress: show a bar on standard error.
        more: further fields of `SteerRequest`: variant, n_fit, n_held_out, n_random, n_permutations, n_heads, steps, level.

    Returns:
        A `Steering`.

    Raises:
        ExperimentError: an unknown method, layers that are not there, or too few training examples.

    Source: Hendel et al. (arXiv 2310.15916), Todd et al. (arXiv 2310.15213), Liu et al. (arXiv 2311.06668); held-out choice
    of the layer and the controls are this project's.
    """
    given = Given()
    request = SteerRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        method=method,
        k=k,
        n_queries=n_queries,
        seeds=seeds_asked(seeds),
        strengths=tuple(float(s) for s in strengths),
        layers=tuple(int(n) for n in layers),
        wrong_task=given.name("wrong_task", wrong_task, by="name"),
        **more,
    )
    return STEER.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a Steering


def run_steering(
    request: SteerRequest, *, progress: bool, model: ICLModel, task: Task, wrong_task: Task | None = None
) -> Steering:
    """Steer as the request says."""
    method, seeds = method_of(request), seeds_of(request.seeds)
    strengths, layers = strengths_of(request, method), layers_of(request, model)
    other = wrong_task or another_task(task, request)
    numbers = SteeringNumbers(seeds)
    grid = Grid(layers, strengths, usual_strength(strengths, method))
    for seed in track(seeds, f"steering by {method.title}", enabled=progress):
        case = _Case(request, model, task, other, seed)
        vectors = case.vectors()
        if vectors["none"][0].together:
            grid = Grid((ALL_LAYERS,), grid.strengths, grid.usual)
        layer, strength, curve = choose(model, vectors["none"][0], case.training.held_out, grid)
        found = SeedNumbers()
        states = measure_settings(model, case.prompts, case.contexts(), grid, found)
        measure_vectors(model, case.prompts, vectors, grid, layer, found)
        measure_own(model, case.prompts, states, grid, found)
        numbers.add(found, layer, strength, curve, _relative_norm(vectors["none"][0], states, grid))
        numbers.prompts.append(case.prompts.hash)
        numbers.heads.append([list(head) for head in case.heads])
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash},
        wrong_task=other.name, prompts=numbers.prompts, method=request.method, title=method.title, seeds=list(seeds),
        k=request.k, n_queries=len(case.prompts.queries), heads=numbers.heads, usual_strength=grid.usual,
        level=request.level,
    )  # fmt: skip
    return Steering(dataset_of(numbers, grid, request.level), provenance=origin)


def another_task(task: Task, request: SteerRequest) -> Task:
    """The task of the control: the one named, another one beside a shipped one, or one of words/."""
    if request.wrong_task is not None:
        return load_task(request.wrong_task, data=request.data)
    source = task.name.partition("/")[0] + "/"
    if task.name.startswith("mini/"):
        return load_task("mini/sentiment" if "sentiment" not in task.name else "mini/topic")
    known = [name for name in list_tasks() if name.startswith(source) and name != task.name]
    names = known or [name for name in list_tasks() if name.startswith("words/")]
    return load_task("words/past-tense" if "words/past-tense" in names else names[0])


@dataclass
class _Case:
    """One seed: its prompts, and the vectors made of its training queries."""

    request: SteerRequest
    model: ICLModel
    task: Task
    other: Task
    seed: int

    def __post_init__(self) -> None:
        r = self.request
        self.prompts: PromptSet = build_prompts(self.model, self.task, r.k, r.n_queries, self.seed)
        self.training = self._training(self.task)
        self.heads = heads_of(r, self.model, self.training.fit)

    def _training(self, task: Task) -> Training:
        r = self.request
        return training_prompts(self.model, task, r.k, self.seed, r.n_fit, r.n_held_out)

    def vectors(self) -> dict[str, Sequence[Vector]]:
        """The method's vector ("none") and those of its controls."""
        r, method = self.request, METHODS[self.request.method]

        def made(prompts: PromptSet, heads: Heads = self.heads) -> Vector:
            return method.make(self.model, prompts, r, heads)

        real = made(self.training.fit)
        shuffled = method.shuffled(self.training.fit, self.seed, r.n_permutations)
        drawn = others_of_same_layers(self.model, self.heads, self.seed, r.n_random)
        return {
            "none": [real],
            "random": [real.like("random", self.seed * r.n_random + draw) for draw in range(r.n_random)],
            **({"random_heads": [made(self.training.fit, heads) for heads in drawn]} if drawn else {}),
            "wrong_task": [made(self._training(self.other).fit)],
            "shuffled_labels": [made(prompts) for prompts in shuffled],
        }

    def contexts(self) -> dict[str, Sequence[PromptSet]]:
        """What the controls are as contexts."""
        other = build_prompts(self.model, self.other, self.request.k, 1, self.seed)
        return {
            "wrong_task": [self.prompts.with_demonstrations_of(other)],
            "shuffled_labels": self.prompts.with_permuted_labels(self.seed, self.request.n_permutations),
        }


def _relative_norm(vector: Vector, states: Any, grid: Grid) -> np.ndarray:
    """The vector's length against that of states in context, by layer; NaN where it is no vector of the residual stream."""
    if vector.site != "resid_post" or grid.layers == (ALL_LAYERS,):
        return np.full(len(grid.layers), np.nan)
    lengths = states.double().norm(dim=-1).mean(dim=0)
    return np.array([float(vector.norms[vector.layers.index(n)] / lengths[n]) for n in grid.layers])
