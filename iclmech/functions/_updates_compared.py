"""`compare_updates`: in-context learning of a function against weight updates, in the same units three ways.

function:  test error on fresh points
weights:   cosine of the weights that the answers imply, with those of ICL and of the exact posterior
states:    SimAOU by layer, against a random weight change that moves the states as far, an update on shuffled values,
           and the untrained model
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor

from iclmech._base import REGISTRIES, UpdateError, rng, track
from iclmech.analysis import metrics
from iclmech.experiments.comparison._matched_scales import noise_like, scaled, scales_by_capture
from iclmech.models import ICLModel
from iclmech.updates import WeightUpdate

from ._family import Family
from ._one_task import OneTask, implied_weights
from ._over_prompts import asked, interval, origin
from ._updates_request import COMPARE_UPDATES, FunctionUpdatesRequest
from ._updates_result import COMPARISONS, FunctionUpdates

_SITE = "attn_out"


def compare_updates(
    model: ICLModel | str,
    family: Family | str,
    updates: Sequence[str] = ("gd", "lcgd"),
    *,
    seeds: int | Sequence[int] = 20,
    k: int = 10,
    n_points: int = 48,
    parameters: str = "all",
    rates: Sequence[float] = (0.005, 0.01, 0.02),
    epochs: int = 120,
    draws: int = 2,
    level: float = 0.95,
    progress: bool = False,
) -> FunctionUpdates:
    """Teach a learner functions in context and by weight updates, and compare what it answers and what its states do.

    Args:
        model, family: the learner and a family of real values, or the names of both.
        updates: names of registered updates; they learn from sequences `<bos> x` with the squared error of y.
        seeds: tasks, each one function: how many, or which.
        k, n_points: pairs of a task, and fresh points asked.
        parameters: "all" or "attn_kv".
        rates: learning rates; each update is judged at the one with the least mean test error.
        epochs: steps on all pairs together.
        draws: random weight changes of equal displacement, for each update.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `FunctionUpdates`. A task on which an update diverges is left out of that update and rate.

    Source: whether ICL is gradient descent is asked by von Oswald et al., arXiv 2212.07677 (on the linear model) and Dai et
    al., arXiv 2212.10559 (in the model's weights); that both can be asked of one learner is used here.
    """
    request, inputs = asked(
        FunctionUpdatesRequest, model, family, updates=tuple(updates), seeds=seeds, n_examples=k, n_prompts=n_points,
        parameters=parameters, rates=tuple(rates), epochs=epochs, draws=draws, level=level,
    )  # fmt: skip
    return COMPARE_UPDATES.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_updates(request: FunctionUpdatesRequest, *, progress: bool, model: ICLModel, family: Family) -> FunctionUpdates:
    """All updates at all rates; then, at the rate with the least test error, the controls."""
    tasks = [OneTask.drawn(family, request.n_examples, request.n_prompts, seed) for seed in request.seed_list]
    found, made = [], []
    for task in track(tasks, "updates", enabled=progress):
        numbers, updates = _of_task(request, model, task)
        found.append(numbers)
        made.append(updates)
    values = {name: np.stack([one[name] for one in found]) for name in found[0]}
    error = np.where(np.isnan(values["test_error"]).any(0), np.inf, values["test_error"].mean(0))
    chosen = error.argmin(-1)
    fresh, controls = model.untrained(0), []
    for number, task in enumerate(track(tasks, "controls", enabled=progress)):
        rows = []
        for at, (name, best) in enumerate(zip(request.updates, chosen, strict=True)):
            rows.append(_controls(request, model, fresh, task, made[number][at][best], (name, request.rates[best])))
        controls.append({key: np.stack([row[key] for row in rows]) for key in rows[0]})
    values |= {name: np.stack([one[name] for one in controls]) for name in controls[0]}
    data = _dataset(values, chosen, request, model.shape.n_layers)
    return FunctionUpdates(data, provenance=origin(request, model, family))


def _of_task(
    request: FunctionUpdatesRequest, model: ICLModel, task: OneTask
) -> tuple[dict[str, np.ndarray], list[list[WeightUpdate | None]]]:
    """Numbers of one task, by name, [update, rate, ...], and the updates."""
    zs, zero = task.states(model, "zs", _SITE)
    icl, answers = task.states(model, "icl", _SITE)
    w_icl, _ = implied_weights(task.points, answers)
    w_bayes, _ = implied_weights(task.points, task.bayes)
    out: dict[str, Any] = {
        "reference_error": np.array([task.error(zero), task.error(answers), task.error(task.bayes)]),
        "icl_cos_bayes": np.array(float(F.cosine_similarity(w_icl, w_bayes, dim=0))),
    }
    made = [[_learned(request, model, name, rate, task, None) for rate in request.rates] for name in request.updates]
    for update in (update for row in made for update in row):
        states = _under(model, update, task)
        row = {"sim_rate": _sim(zs, icl, states), "train_loss": np.array(_last_loss(update))}
        row |= _function(task, states, w_icl, w_bayes)
        for name, value in row.items():
            out.setdefault(name, []).append(value)
    shape = (len(request.updates), len(request.rates))
    return {n: np.stack(v).reshape(*shape, *v[0].shape) if isinstance(v, list) else v for n, v in out.items()}, made


def _controls(
    request: FunctionUpdatesRequest,
    model: ICLModel,
    fresh: ICLModel,
    task: OneTask,
    real: WeightUpdate | None,
    how: tuple[str, float],
) -> dict[str, np.ndarray]:
    """SimAOU [comparison, layer] of one update on one task, and the cosine of weights of the update on shuffled values."""
    zs, icl = (task.states(model, setting, _SITE) for setting in ("zs", "icl"))
    w_icl, _ = implied_weights(task.points, icl[1])
    order = torch.randperm(request.n_examples, generator=rng(len(task.clean), f"shuffled values of {task.rows.hash}"))
    shuffled = _under(model, _learned(request, model, *how, task, order), task)
    bare = task.states(fresh, "zs", _SITE)[0], task.states(fresh, "icl", _SITE)[0]
    sims = {
        "update": _sim(zs[0], icl[0], _under(model, real, task)),
        "matched_update": _matched(request, model, real, task, zs[0], icl[0]),
        "shuffled_y": _sim(zs[0], icl[0], shuffled),
        "untrained": _sim(*bare, _under(fresh, _learned(request, fresh, *how, task, None), task)),
    }
    cosine = _function(task, shuffled, w_icl, w_icl)["cos_icl"]
    return {"sim_aou": np.stack([sims[name] for name in COMPARISONS]), "shuffled_cos_icl": cosine}


def _learned(
    request: FunctionUpdatesRequest, model: ICLModel, name: str, rate: float, task: OneTask, order: Tensor | None
) -> WeightUpdate | None:
    """The update, or None where it diverges."""
    try:
        return REGISTRIES["update"][name](
            model,
            task.samples(model, order),
            lr=rate,
            parameters=request.parameters,
            batch="full",
            epochs=request.epochs,
        )
    except UpdateError as error:
        if "lower the learning rate" in str(error).lower():
            return None
        raise


def _under(model: ICLModel, update: WeightUpdate | None, task: OneTask) -> tuple[dict[str, Tensor], Tensor] | None:
    """States and answers of the points alone, under an update."""
    if update is None:
        return None
    with update.applied(model):
        return task.states(model, "zs", _SITE)


def _sim(zs: Any, icl: Any, row: tuple[dict[str, Tensor], Tensor] | None) -> np.ndarray:
    """Mean over points of SimAOU, by layer; NaN where there is no update."""
    if row is None:
        return np.full(zs[_SITE].shape[1], np.nan)
    return metrics.sim_aou(zs, icl, row[0], site=_SITE).nanmean(0).double().numpy()


def _matched(
    request: FunctionUpdatesRequest, model: ICLModel, real: WeightUpdate | None, task: OneTask, zs: Any, icl: Any
) -> np.ndarray:
    """The same of random changes that move every layer's states as far; NaN in layers where none does."""
    if real is None or request.draws < 1:
        return _sim(zs, icl, None)
    noise = noise_like(real, len(task.clean), request.draws)
    found = scales_by_capture(model, task.rows, "last", real, noise)
    sims = []
    for one, factors, reached in zip(noise, found.scales, found.reached, strict=True):
        sim = _sim(zs, icl, _under(model, scaled(real, one, factors), task))
        sims.append(np.where(reached, sim, np.nan))
    counted = np.isfinite(sims).sum(0)
    return np.divide(np.nansum(sims, 0), counted, out=np.full(counted.shape, np.nan), where=counted > 0)


def _function(task: OneTask, row: Any, w_icl: Tensor, w_bayes: Tensor) -> dict[str, np.ndarray]:
    """What the updated model answers, as error and as implied weights."""
    names = ("test_error", "cos_icl", "cos_bayes", "linearity")
    if row is None:
        return {name: np.array(np.nan) for name in names}
    weights, linear = implied_weights(task.points, row[1])
    values = (task.error(row[1]), *(F.cosine_similarity(weights, w, dim=0) for w in (w_icl, w_bayes)), linear)
    return {name: np.array(float(value)) for name, value in zip(names, values, strict=True)}


def _last_loss(update: WeightUpdate | None) -> float:
    """The loss before the last step; of layer-causal descent that of the last layer."""
    if update is None:
        return float("nan")
    last = update.meta["losses"][-1]
    return float(last[-1] if isinstance(last, list) else last)


_AXES = {
    "sim_aou": ("update", "comparison", "layer"), "sim_rate": ("update", "rate", "layer"), "icl_cos_bayes": (),
    "reference_error": ("reference",), "icl_gain": (),
    **dict.fromkeys(("cos_gain", "sim_gain", "trained_gain", "shuffled_cos_icl"), ("update",)),
}  # fmt: skip
_FEWEST = 5  # tasks for an interval


def _dataset(
    values: dict[str, np.ndarray], chosen: np.ndarray, request: FunctionUpdatesRequest, n_layers: int
) -> xr.Dataset:
    n = np.arange(len(request.updates))
    counted = np.isfinite(values["sim_aou"]).all(-2, keepdims=True)  # layers in which every comparison is there
    mean = np.ma.masked_array(values["sim_aou"], ~np.broadcast_to(counted, values["sim_aou"].shape)).mean(-1)
    mean = mean.filled(np.nan)  # [task, update, comparison]
    values["icl_gain"] = values["reference_error"][:, 0] - values["reference_error"][:, 1]
    values["cos_gain"] = values["cos_icl"][:, n, chosen] - values["shuffled_cos_icl"]
    values["sim_gain"] = mean[..., 0] - mean[..., COMPARISONS.index("matched_update")]
    values["trained_gain"] = mean[..., 0] - mean[..., COMPARISONS.index("untrained")]
    coords = {
        "update": list(request.updates), "rate": list(request.rates), "comparison": list(COMPARISONS),
        "layer": np.arange(n_layers), "reference": ["zs", "icl", "bayes"], "bound": ["low", "high"],
    }  # fmt: skip
    data = xr.Dataset(coords=coords)
    for name, array in values.items():
        dims = _AXES.get(name, ("update", "rate"))
        triples = np.array([interval(column[:, None], request.level) for column in array.reshape(len(array), -1).T])
        if len(array) < _FEWEST:
            triples[:, 1:] = np.nan
        data[name] = (dims, triples[:, 0].reshape(array.shape[1:]))
        data[f"{name}_ci"] = ((*dims, "bound"), triples[:, 1:].reshape(*array.shape[1:], 2))
    data["chosen"] = ("update", chosen)
    return data
