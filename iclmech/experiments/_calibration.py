"""`calibration_table`: predictions as they are, calibrated in several ways, and joined; each with how far to trust its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr

from iclmech._base import provenance, track
from iclmech.analysis import metrics
from iclmech.calibration import (
    ENSEMBLES,
    batch_prior,
    calibrated,
    ensemble,
    fit_affine,
    measure_biases,
    prior,
    template_variants,
)
from iclmech.captures import Activations, Setting, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from ._calibration_request import CALIBRATION, CalibrationRequest
from ._calibration_result import CalibrationTable
from ._estimates import add_estimate
from ._experiment import Given
from ._request import ExperimentError, seeds_of

METHODS = ("none", "cc", "dc", "bc", "affine")
SETTINGS: tuple[Setting, ...] = ("zs", "icl")
BY_QUERY = {"accuracy": (0.0, 1.0), "label_nll": (0.0, np.inf), "brier": (0.0, 2.0), "overconfidence": (-1.0, 1.0)}
BY_SEED = {**dict.fromkeys(("ece", "ece_floor", "ece_floor_95", "macro_f1"), (0.0, 1.0)), "ece_debiased": (-1.0, 1.0)}
Numbers = dict[str, np.ndarray]


def calibration_table(
    model: ICLModel | str,
    task: Task | str,
    k: int = 4,
    n_queries: int = 128,
    *,
    seeds: int | Sequence[int] = 3,
    methods: Sequence[str] = METHODS,
    n_train: int = 64,
    members: int = 4,
    bins: int = 10,
    level: float = 0.95,
    progress: bool = False,
) -> CalibrationTable:
    """Label biases, four ways to calibrate, self-ensembles: accuracy, calibration error and its noise floor.

    "cc" and "dc" take out the priors of `icl.calibration.prior`, "dc" with words of `n_train` training texts; "bc" the mean of the
    queries' other half; "affine" is fitted on `n_train` labelled training queries, the supervised ceiling. Ensembles have `members`
    contexts of k demonstrations, or as many templates around one; their control is one context with members · k demonstrations.

    Args:
        model, task: what to study, or the names of both; a classification task with fixed label words.
        k, n_queries: demonstrations, and queries (the same for every seed).
        seeds: draws of demonstrations: how many, or which.
        methods: some of these; "none" is always there.
        n_train, members, bins: see above; `members` below 2 leaves ensembles out.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `CalibrationTable`.

    Raises:
        ExperimentError: an unknown method, too few queries, or a task without fixed label words.

    Source: see `icl.calibration.prior`, `fit_affine`, `ensemble`.
    """
    given = Given()
    request = CalibrationRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        seeds=seeds if isinstance(seeds, int) else seeds_of(seeds),
        methods=tuple(methods),
        n_train=n_train,
        members=members,
        bins=bins,
        level=level,
    )
    return CALIBRATION.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a CalibrationTable


def run_calibration(request: CalibrationRequest, *, progress: bool, model: ICLModel, task: Task) -> CalibrationTable:
    """Run every seed, setting and method as the request says."""
    methods = tuple(dict.fromkeys(("none", *request.methods)))
    wrong = [m for m in methods if m not in METHODS]
    if wrong or not task.label_words or task.label_pool or request.n_queries < 32 or request.k < 1:
        raise ExperimentError(
            f"got methods={wrong or methods}, n_queries={request.n_queries}, k={request.k} on {task.name!r}; expected some of {', '.join(METHODS)}, "
            "32 queries or more, a demonstration, and a task with fixed label words."
        )
    seeds = seeds_of(request.seeds)
    tables: list[dict[tuple[str, str], Numbers]] = []
    joined: list[dict[tuple[str, str], Numbers]] = []
    biases, pooled, hashes = [], {m: [] for m in methods}, []
    for seed in track(seeds, "calibration", enabled=progress):
        prompts = build_prompts(model, task, request.k, request.n_queries, seed)
        hashes.append(prompts.hash)
        found = _calibrated(model, task, prompts, methods, request, seed)
        tables.append({at: _numbers(acts, prompts, request.bins) for at, acts in found.items()})
        for method in methods:
            pooled[method].append(found["icl", method].label_scores)
        texts = [e.text for e in task.train[: request.n_train]]
        biases.append([float(b.mean()) for b in measure_biases(model, prompts, texts=texts, seed=seed)])
        if request.members > 1:
            joined.append(_ensembles(model, task, prompts, request, seed))
    data = _dataset(tables, methods, request)
    data.coords["bias_of"] = ["vanilla", "context", "domain"]
    add_estimate(
        data, "bias", ("bias_of",), np.asarray(biases)[:, None], request.level, limits=(0.0, 1.0), kind="nested"
    )
    if joined:
        _add_ensembles(data, joined, request)
    _add_reliability(data, pooled, prompts, request.bins)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=hashes,
        k=request.k, n_queries=len(prompts.queries), seeds=list(seeds), level=request.level, members=request.members,
    )  # fmt: skip
    return CalibrationTable(data, provenance=origin)


def _calibrated(
    model: ICLModel, task: Task, prompts: PromptSet, methods: Sequence[str], request: CalibrationRequest, seed: int
) -> dict[tuple[str, str], Activations]:
    """(setting, method) → predictions."""
    found: dict[tuple[str, str], Activations] = {}
    texts = [e.text for e in task.train[: request.n_train]]
    for setting in SETTINGS:
        acts = capture(model, prompts, setting, ())
        for method in methods:
            if method == "none":
                made = acts
            elif method == "bc":
                made = calibrated(acts, batch_prior(acts, cross_fit=True))
            elif method == "affine":
                train = build_prompts(model, task, request.k, request.n_train, seed, queries_from="train")
                made = fit_affine(capture(model, train, setting, ()), train.labels).applied(acts)
            else:
                how = "cc" if method == "cc" else "dc"
                made = calibrated(acts, prior(model, prompts, how, setting=setting, texts=texts, seed=seed))
            found[setting, method] = made
    return found


def _numbers(acts: Activations, prompts: PromptSet, bins: int) -> Numbers:
    """Every measure of one set of predictions: by query, or one number."""
    labels = prompts.labels
    gold = torch.tensor([-1 if y is None else y for y in labels])
    right = metrics.correct(acts, labels).double()
    chosen = acts.label_probs.double().log().gather(1, gold.clamp(min=0)[:, None])[:, 0]
    values = {
        "accuracy": right,
        "label_nll": torch.where(gold >= 0, -chosen, torch.nan),
        "brier": metrics.brier(acts, labels),
        "overconfidence": acts.label_probs.max(dim=-1).values.double() - right,
        "ece": metrics.ece(acts, labels, bins),
        "ece_floor": metrics.ece_floor(acts, bins),
        "ece_floor_95": metrics.ece_floor(acts, bins, quantile=0.95),
        "ece_debiased": metrics.debiased_ece2(acts, labels, bins),
        "macro_f1": metrics.macro_f1(acts, labels),
    }
    return {name: np.atleast_1d(value.double().numpy()) for name, value in values.items()}


def _ensembles(
    model: ICLModel, task: Task, prompts: PromptSet, request: CalibrationRequest, seed: int
) -> dict[tuple[str, str], Numbers]:
    """(over, join) → numbers; joins "single" and "long" are the controls."""
    k, n = request.k, request.n_queries
    sets = [build_prompts(model, task, k, n, 1000 * (seed + 1) + i) for i in range(1, request.members)]
    worded = [replace(task, template=t) for t in template_variants(task.template, request.members)]
    members = {
        "demonstrations": [capture(model, p, "icl", ()) for p in (prompts, *sets)],
        "templates": [capture(model, build_prompts(model, t, k, n, seed), "icl", ()) for t in worded],
    }
    found: dict[tuple[str, str], Numbers] = {}
    for over, acts in members.items():
        for join in ENSEMBLES:
            found[over, join] = _numbers(ensemble(acts, join), prompts, request.bins)
        alone = [_numbers(a, prompts, request.bins) for a in acts]
        found[over, "single"] = {name: np.mean([one[name] for one in alone], axis=0) for name in alone[0]}
    long = build_prompts(model, task, k * request.members, n, seed)
    if long.k < k * request.members:
        raise ExperimentError(
            f"got members={request.members} of k={k}; the window takes {long.k} of the {k * request.members} demonstrations of the one long "
            "context that they are held against. Take fewer members or demonstrations."
        )
    found["demonstrations", "long"] = _numbers(capture(model, long, "icl", ()), prompts, request.bins)
    return found


def _dataset(
    tables: list[dict[tuple[str, str], Numbers]], methods: Sequence[str], request: CalibrationRequest
) -> xr.Dataset:
    data = xr.Dataset(coords={"setting": list(SETTINGS), "calibration": list(methods)})
    axes = ("setting", "calibration")

    def values(name: str) -> np.ndarray:
        return np.stack(
            [np.stack([np.stack([t[s, m][name] for m in methods], -1) for s in SETTINGS], -2) for t in tables]
        )

    for name, limits in BY_QUERY.items():
        add_estimate(data, name, axes, values(name), request.level, binary=_binary(name), limits=limits)
    right = values("accuracy")
    add_estimate(data, "above_none", axes, right - right[..., :1], request.level, binary="difference")
    for name, limits in BY_SEED.items():
        add_estimate(data, name, axes, values(name), request.level, limits=limits, kind="nested")
    return data


def _binary(name: str) -> str | None:
    return "share" if name == "accuracy" else None


def _add_ensembles(data: xr.Dataset, joined: list[dict[tuple[str, str], Numbers]], request: CalibrationRequest) -> None:
    over = ("demonstrations", "templates")
    data.coords["over"], data.coords["join"] = list(over), list(ENSEMBLES)

    def values(name: str, joins: Sequence[str] = ENSEMBLES) -> np.ndarray:
        return np.stack([np.stack([np.stack([t[o, j][name] for j in joins], -1) for o in over], -2) for t in joined])

    axes, right = ("over", "join"), values("accuracy")
    single = values("accuracy", ["single"])
    long = np.stack([t["demonstrations", "long"]["accuracy"] for t in joined])
    for name, limits in BY_QUERY.items():
        add_estimate(data, f"ensemble_{name}", axes, values(name), request.level, binary=_binary(name), limits=limits)
    for name in ("ece", "ece_floor"):
        add_estimate(data, f"ensemble_{name}", axes, values(name), request.level, limits=BY_SEED[name], kind="nested")
    add_estimate(data, "ensemble_above_single", axes, right - single, request.level, limits=(-1.0, 1.0))
    add_estimate(data, "ensemble_above_long", axes, right - long[..., None, None], request.level, binary="difference")
    add_estimate(data, "single_accuracy", ("over",), single[..., 0], request.level, limits=(0.0, 1.0))
    add_estimate(data, "long_accuracy", (), long, request.level, binary="share")


def _add_reliability(data: xr.Dataset, pooled: dict[str, list[torch.Tensor]], prompts: PromptSet, bins: int) -> None:
    """Bins over all seeds; the same query in several seeds counts as one draw of luck."""
    axes = ("calibration", "bin")
    found = []
    for scores in pooled.values():
        groups = [j for _ in scores for j in range(len(prompts.queries))]
        found.append(metrics.reliability(torch.cat(scores), prompts.labels * len(scores), bins, groups=groups))
    data.coords["bin"] = list(range(bins))
    for part in ("confidence", "accuracy", "count", "low", "high"):
        data[f"bin_{part}"] = (axes, torch.stack([getattr(one, part) for one in found]).double().numpy())
