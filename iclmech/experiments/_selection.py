"""`compare_selections`: the same queries behind demonstrations that were annotated and retrieved in different ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from iclmech._base import provenance, track
from iclmech.analysis import metrics
from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.selection import (
    IDEAL,
    KNN,
    Balanced,
    Diversity,
    FacilityLocation,
    Random,
    TextVectors,
    VoteK,
    embed,
    label_vote,
)
from iclmech.tasks import PromptSet, Task, build_prompts

from ._adapted_number import add_adapted
from ._estimates import add_estimate
from ._experiment import Given
from ._request import ExperimentError, seeds_of
from ._selection_request import SELECTION, SelectionRequest
from ._selection_result import SelectionComparison

ANNOTATIONS: dict[str, Callable[[Any], Any]] = {
    "random": lambda vectors: Random(),
    "vote_k": VoteK,
    "diversity": Diversity,
    "facility_location": FacilityLocation,
    "ideal": IDEAL,
}
RETRIEVALS: dict[str, Callable[[TextVectors, list[int]], Any]] = {
    "random": lambda vectors, rows: Random(rows),
    "balanced": lambda vectors, rows: Balanced(rows),
    "knn": KNN,
}


def compare_selections(
    model: ICLModel | str,
    task: Task | str,
    k: int = 4,
    n_queries: int = 64,
    *,
    seeds: int | Sequence[int] = 3,
    annotations: Sequence[str] = SelectionRequest.annotations,
    retrievals: Sequence[str] = SelectionRequest.retrievals,
    candidates: int = 400,
    annotated: int = 100,
    embeddings: Any = "own",
    layer: int | None = None,
    pool: str = "mean",
    ladder: Sequence[int] = SelectionRequest.ladder,
    thresholds: Sequence[float] = SelectionRequest.thresholds,
    threshold: float = 0.9,
    level: float = 0.95,
    progress: bool = False,
) -> SelectionComparison:
    """Accuracy by annotation and retrieval, with the vote of the retrieved labels; and the number of demonstrations by query.

    For each seed `candidates` training examples are drawn; each annotation method chooses `annotated` of them without their
    labels; each retrieval puts k of these before every query. Whether the model does more than repeat the labels that were
    retrieved is the *vote*: the majority label of the same k. The number by query is the smallest of `ladder` at which the
    largest label probability reaches a threshold.

    Args:
        model, task: what to study, or the names of both; a classification task.
        k, n_queries: demonstrations, and queries (the same for every seed).
        seeds: draws: how many, or which.
        annotations, retrievals: names of methods; those of the request by default.
        candidates, annotated: sizes of the two pools.
        embeddings: "own", the model's states by `embed(model, texts, layer, pool)`; or any of the forms of
            `icl.selection.TextVectors`.
        layer, pool: as in `embed`.
        ladder, thresholds, threshold: numbers of demonstrations, and how sure is sure enough; claims are made at `threshold`.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `SelectionComparison`.

    Raises:
        ExperimentError: unknown methods, a free-text task, or pools that are too small.

    Source: the two steps, Su et al., arXiv 2209.01975; the number by query, Zhou et al., arXiv 2305.11170.
    """
    given = Given()
    request = SelectionRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        seeds=seeds if isinstance(seeds, int) else seeds_of(seeds),
        annotations=tuple(annotations),
        retrievals=tuple(retrievals),
        candidates=candidates,
        annotated=annotated,
        embeddings=given.name("embeddings", embeddings),
        layer=layer,
        pool=pool,
        ladder=tuple(ladder),
        thresholds=tuple(thresholds),
        threshold=threshold,
        level=level,
    )
    return SELECTION.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a SelectionComparison


def run_selections(
    request: SelectionRequest, *, progress: bool, model: ICLModel, task: Task, embeddings: Any = None
) -> SelectionComparison:
    """Run every seed, annotation and retrieval as the request says."""
    _check(request, task)
    seeds = seeds_of(request.seeds)
    asked = build_prompts(model, task, 0, request.n_queries)
    drawn = {seed: Random().pool(task.train, request.candidates, seed) for seed in seeds}
    vectors = (
        TextVectors(embeddings, "selection") if embeddings is not None else _own(model, task, request, asked, drawn)
    )
    found: dict[str, np.ndarray] = {}
    rungs: dict[str, np.ndarray] = {}
    for s, seed in enumerate(track(seeds, "selections", enabled=progress)):
        for a, annotation in enumerate(request.annotations):
            rows = _annotated(annotation, vectors, task, drawn[seed], request.annotated, seed)
            for r, retrieval in enumerate(request.retrievals):
                chooser = RETRIEVALS[retrieval](vectors, rows)
                one = _measured(
                    model, build_prompts(model, task, request.k, request.n_queries, seed, selection=chooser)
                )
                _store(found, one, (s, a, r), (len(seeds), len(request.annotations), len(request.retrievals)))
                if annotation != request.annotations[0]:
                    continue
                for n, k in enumerate(request.ladder):
                    prompts = build_prompts(model, task, k, request.n_queries, seed, selection=chooser)
                    one = _measured(model, prompts)
                    _store(rungs, one, (s, r, n), (len(seeds), len(request.retrievals), len(request.ladder)))
    data = _dataset(found, request)
    if request.ladder:
        add_adapted(data, rungs, request)
    golds = [q.label for q in asked.queries if q.label is not None]
    data["constant"] = golds.count(metrics.best_constant(golds)) / len(golds)
    data["zero_shot"] = float(metrics.accuracy(capture(model, asked, "zs", ()), asked.labels))
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=asked.hash,
        k=request.k, n_queries=len(asked.queries), seeds=list(seeds), level=request.level,
    )  # fmt: skip
    return SelectionComparison(data, provenance=origin)


def _check(request: SelectionRequest, task: Task) -> None:
    wrong = [n for n in request.annotations if n not in ANNOTATIONS] + [
        n for n in request.retrievals if n not in RETRIEVALS
    ]
    if wrong or not request.annotations or not request.retrievals:
        raise ExperimentError(
            f"got {wrong or 'no methods'}; annotations are {', '.join(ANNOTATIONS)}, retrievals {', '.join(RETRIEVALS)}."
        )
    if not task.label_words or task.label_pool:
        raise ExperimentError(
            f"{task.name!r} has no fixed label words to vote with; take a classification task with its own."
        )
    most = max((request.k, *request.ladder))
    if not most <= request.annotated <= request.candidates <= len(task.train) or min((request.k, *request.ladder)) < 1:
        raise ExperimentError(
            f"got k={request.k}, ladder={request.ladder}, annotated={request.annotated}, candidates={request.candidates}; expected "
            f"1 ≤ demonstrations ≤ annotated ≤ candidates ≤ {len(task.train)} training examples."
        )
    if request.ladder and (
        request.threshold not in request.thresholds or list(request.ladder) != sorted(set(request.ladder))
    ):
        raise ExperimentError(
            f"got threshold={request.threshold} of {request.thresholds} and ladder={request.ladder}; expected one of the thresholds, and "
            "numbers that grow."
        )


def _own(
    model: ICLModel, task: Task, request: SelectionRequest, asked: PromptSet, drawn: dict[int, list[int]]
) -> TextVectors:
    """The model's own states, of the texts that can matter; the other rows are zeros."""
    pair = []
    for examples, rows in (
        (task.train, sorted({row for chosen in drawn.values() for row in chosen})),
        (task.test, [q.index for q in asked.queries]),
    ):
        table = np.zeros((len(examples), model.shape.d_model))
        pool: Any = request.pool
        table[rows] = embed(model, [examples[row].text for row in rows], request.layer, pool).numpy()
        pair.append(table)
    return TextVectors(tuple(pair), "selection")


def _annotated(
    annotation: str, vectors: TextVectors, task: Task, candidates: list[int], size: int, seed: int
) -> list[int]:
    """Rows of the training examples that a method chooses among the candidates."""
    method = ANNOTATIONS[annotation](vectors.of_train(task.train)[candidates])
    return [candidates[i] for i in method.pool([task.train[row] for row in candidates], size, seed)]


def _measured(model: ICLModel, prompts: PromptSet) -> dict[str, np.ndarray]:
    """For every query: right, how sure, whether the vote is right, and tokens of the prompt."""
    acts = capture(model, prompts, "icl", ())
    votes = torch.tensor(
        [v if (v := label_vote(prompts.contexts[q.context])) is not None else -1 for q in prompts.queries]
    )
    labels = torch.tensor([-1 if y is None else y for y in prompts.labels])
    tokens = [len(prompts.sequence(j)) for j in range(len(prompts.queries))]
    return {
        "accuracy": metrics.correct(acts, prompts.labels).double().numpy(),
        "confidence": acts.label_probs.max(dim=-1).values.double().numpy(),
        "vote": (votes == labels).double().numpy(),
        "prompt_tokens": np.asarray(tokens, dtype=float),
    }


def _store(
    into: dict[str, np.ndarray], one: dict[str, np.ndarray], at: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    for name, values in one.items():
        into.setdefault(name, np.full((shape[0], len(values), *shape[1:]), np.nan))[(at[0], slice(None), *at[1:])] = (
            values
        )


def _dataset(found: dict[str, np.ndarray], request: SelectionRequest) -> xr.Dataset:
    axes = ("annotation", "retrieval")
    data = xr.Dataset(coords={"annotation": list(request.annotations), "retrieval": list(request.retrievals)})
    right, level = found["accuracy"], request.level  # [seed, query, annotation, retrieval]
    add_estimate(data, "accuracy", axes, right, level, binary="share")
    add_estimate(data, "vote", axes, found["vote"], level, binary="share")
    add_estimate(data, "above_vote", axes, right - found["vote"], level, binary="difference")
    if "random" in request.retrievals:
        reference = right[..., [request.retrievals.index("random")]]
        add_estimate(data, "above_random", axes, right - reference, level, binary="difference")
    if "random" in request.annotations:
        reference = right[:, :, [request.annotations.index("random")]]
        add_estimate(data, "above_random_annotation", axes, right - reference, level, binary="difference")
    data["prompt_tokens"] = (axes, found["prompt_tokens"].mean(axis=(0, 1)))
    return data
