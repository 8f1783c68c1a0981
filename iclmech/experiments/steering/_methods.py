"""How each kind of vector is made in `steer`, and at which strengths it is tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet
from iclmech.vectors import (
    Vector,
    function_vector,
    in_context_vector,
    learn_vector,
    task_vector,
    with_permuted_answers,
)

from .._ablated_heads import of_same_layers
from .._request import ExperimentError
from ._request import SteerRequest

Heads = list[tuple[int, int]]
_DEEP = 8


@dataclass(frozen=True)
class Method:
    """One kind of vector.

    Attributes:
        title: in sentences and figures.
        make: (model, prompts, request, heads) → the vector with rows for all layers, none chosen.
        shuffled: (prompts, seed, n) → the prompts of its control with permuted labels.
        strengths: tried, the one that counts (`usual`) among them.
        variants: the first is the default.
    """

    title: str
    make: Callable[[ICLModel, PromptSet, SteerRequest, Heads], Vector]
    shuffled: Callable[[PromptSet, int, int], list[PromptSet]]
    strengths: tuple[float, ...]
    usual: float
    variants: tuple[str, ...] = ("",)


def _task(model: ICLModel, prompts: PromptSet, request: SteerRequest, heads: Heads) -> Vector:
    return task_vector(model, prompts, layer=0).at(None)


def _function(model: ICLModel, prompts: PromptSet, request: SteerRequest, heads: Heads) -> Vector:
    how = request.variant or "sum"
    return function_vector(model, prompts, heads, how, None if how == "distributed" else 0).at(None)  # type: ignore[arg-type]  # checked


def _in_context(model: ICLModel, prompts: PromptSet, request: SteerRequest, heads: Heads) -> Vector:
    return in_context_vector(model, prompts, request.variant or "mean")  # type: ignore[arg-type]  # checked


def _learned(model: ICLModel, prompts: PromptSet, request: SteerRequest, heads: Heads) -> Vector:
    return learn_vector(model, pooled(prompts), layers_of(request, model), steps=request.steps).at(None)


def _contexts(prompts: PromptSet, seed: int, n: int) -> list[PromptSet]:
    return prompts.with_permuted_labels(seed, n)


def _answers(prompts: PromptSet, seed: int, n: int) -> list[PromptSet]:
    whole = pooled(prompts)
    return [with_permuted_answers(whole, seed * 1000 + draw) for draw in range(n)]


METHODS: dict[str, Method] = {
    "task": Method("task vector", _task, _contexts, (0.25, 0.5, 0.75, 1.0), 1.0),
    "function": Method(
        "function vector", _function, _contexts, (0.5, 1.0, 2.0, 4.0), 1.0, ("sum", "distributed")
    ),
    "in_context": Method(
        "in-context vector", _in_context, _contexts, (-0.1, -0.03, 0.005, 0.01, 0.03, 0.1), 0.1, ("mean", "released", "pc"),
    ),
    "learned": Method("learned vector", _learned, _answers, (0.25, 0.5, 1.0, 2.0), 1.0),
}  # fmt: skip


def method_of(request: SteerRequest) -> Method:
    """The method of a request.

    Raises:
        ExperimentError: an unknown method, variant or number.
    """
    if request.method not in METHODS:
        raise ExperimentError(f"got method={request.method!r}; expected one of {', '.join(METHODS)}.")
    method = METHODS[request.method]
    if request.variant not in ("", *method.variants):
        raise ExperimentError(
            f"got variant={request.variant!r}; {request.method} has {', '.join(filter(None, method.variants)) or 'none'}."
        )
    if request.k < 1 or request.n_random < 1 or request.n_permutations < 1:
        raise ExperimentError(
            f"got k={request.k}, n_random={request.n_random}, n_permutations={request.n_permutations}; expected 1 or more of each."
        )
    return method


def strengths_of(request: SteerRequest, method: Method) -> tuple[float, ...]:
    """In ascending order."""
    return tuple(sorted(set(request.strengths or method.strengths)))


def usual_strength(strengths: Sequence[float], method: Method) -> float:
    """The method's own where it is among them, else the one nearest to it."""
    return min(strengths, key=lambda s: abs(s - method.usual))


def layers_of(request: SteerRequest, model: ICLModel) -> tuple[int, ...]:
    """The layers asked for; by default all, of a learned vector in a deep model eight at equal distances.

    Raises:
        ExperimentError: a layer that the model does not have.
    """
    n = model.shape.n_layers
    if request.layers:
        wrong = [layer for layer in request.layers if not 0 <= layer < n]
        if wrong:
            raise ExperimentError(f"got layer {wrong[0]}; {model.name} has layers 0 to {n - 1}.")
        return tuple(sorted(set(request.layers)))
    if request.method == "learned" and n > _DEEP:
        return tuple(sorted({int(x) for x in np.linspace(0, n - 1, _DEEP)}))
    return tuple(range(n))


def heads_of(request: SteerRequest, model: ICLModel, prompts: PromptSet) -> Heads:
    """The heads of a function vector, by their effects on corrupted prompts; none for other methods."""
    if request.method != "function":
        return []
    vectors: Any = import_module("iclmech.vectors")
    n = request.n_heads or max(1, round(0.02 * model.shape.n_layers * model.shape.n_heads))
    return [(int(layer), int(head)) for layer, head in vectors.head_effects(model, prompts, n=n).top(n)]


def others_of_same_layers(model: ICLModel, heads: Heads, seed: int, n: int) -> list[Heads]:
    """The heads of a function vector's control: `n` draws of as many others of the same layers; none where there are no heads."""
    return [of_same_layers(heads, model.shape.n_heads, seed, draw) for draw in range(n)] if heads else []


def pooled(prompts: PromptSet) -> PromptSet:
    """All queries behind the first context: for what does not look at demonstrations."""
    queries = [replace(query, context=0) for query in prompts.queries]
    return replace(prompts, contexts=prompts.contexts[:1], queries=queries)
