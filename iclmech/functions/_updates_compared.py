"""`compare_updates`: in-context learning of a function against weight updates, in the same units three ways.

function:  test error on fresh points
weights:   cosine of the weights that the answers imply, with those of ICL and of the exact posterior
states:    SimAOU by layer, against a random weight change that moves the states as far, an update on shuffled values,
           the untrained model, and ICL itself with its pairs in another order
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from iclmech._base import track
from iclmech.models import ICLModel
from iclmech.updates import WeightUpdate

from ._asking import asked, origin, put, put_lead
from ._family import Family
from ._one_task import OneTask, implied_weights
from ._updates_request import COMPARE_UPDATES, FunctionUpdatesRequest
from ._updates_result import COMPARISONS, SITES, FunctionUpdates
from ._updates_states import States, controls, cosine_of_weights, learned, order_of, similarity, under


def compare_updates(
    model: ICLModel | str,
    family: Family | str,
    updates: Sequence[str] = ("gd", "lcgd"),
    *,
    seeds: int | Sequence[int] = 20,
    k: int = 10,
    n_points: int = 48,
    parameters: str = "all",
    rates: Sequence[float] = (0.002, 0.005, 0.01, 0.02),
    epochs: int = 150,
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
    real = {name: [one[at][chosen[at]] for one in made] for at, name in enumerate(request.updates)}
    rates = {name: request.rates[best] for name, best in zip(request.updates, chosen, strict=True)}
    values |= controls(request, model, tasks, real, rates, progress)
    data = _dataset(values, chosen, request, model.shape.n_layers)
    return FunctionUpdates(data, provenance=origin(request, model, family))


def _of_task(
    request: FunctionUpdatesRequest, model: ICLModel, task: OneTask
) -> tuple[dict[str, np.ndarray], list[list[WeightUpdate | None]]]:
    """Numbers of one task, by name, [update, rate, ...], and the updates."""
    zs, icl = (task.states(model, setting, SITES) for setting in ("zs", "icl"))
    again = task.reordered(order_of(task, "pairs in another order")).states(model, "icl", SITES)
    known = (zs[1], icl[1], again[1], task.bayes)
    out: dict[str, Any] = {
        "reference_error": np.array([task.error(one) for one in known]),
        "reference_cos": np.array([cosine_of_weights(task, one, icl[1]) for one in known]),
    }
    made = [[learned(request, model, name, rate, task) for rate in request.rates] for name in request.updates]
    for update in (update for row in made for update in row):
        states = under(model, update, task)
        row = {"sim_rate": similarity(zs, icl, states), "train_loss": np.array(_last_loss(update))}
        for name, value in (row | _function(task, states, icl[1])).items():
            out.setdefault(name, []).append(value)
    shape = (len(request.updates), len(request.rates))
    return {n: np.stack(v).reshape(*shape, *v[0].shape) if isinstance(v, list) else v for n, v in out.items()}, made


def _function(task: OneTask, row: States | None, in_context: Tensor) -> dict[str, np.ndarray]:
    """What the updated model answers, as error and as implied weights."""
    names = ("test_error", "cos_icl", "cos_bayes", "linearity")
    found: dict[str, np.ndarray] = dict.fromkeys(names, np.array(np.nan))
    if row is not None:
        found["test_error"] = np.array(task.error(row[1]))
        found["linearity"] = np.array(float(implied_weights(task.points, row[1])[1]))
        for name, other in (("cos_icl", in_context), ("cos_bayes", task.bayes)):
            found[name] = np.array(cosine_of_weights(task, row[1], other))
    return found


def _last_loss(update: WeightUpdate | None) -> float:
    """The loss before the last step; of layer-causal descent that of the last layer."""
    if update is None:
        return float("nan")
    last = update.meta["losses"][-1]
    return float(last[-1] if isinstance(last, list) else last)


_BY_UPDATE, _BY_RATE = ("update",), ("update", "rate")
_AXES = {
    **dict.fromkeys(("sim_aou", "specific"), ("update", "comparison", "site", "layer")), "sim_rate": ("update", "rate", "site", "layer"),
    **dict.fromkeys(("sim_aou_mean", "specific_mean"), ("update", "comparison", "site")),
    "reference_error": ("reference",), "reference_cos": ("reference",), "cos_shuffled": _BY_UPDATE,
}  # fmt: skip


def _dataset(
    values: dict[str, np.ndarray], chosen: np.ndarray, request: FunctionUpdatesRequest, n_layers: int
) -> xr.Dataset:
    n = np.arange(len(request.updates))
    zero, in_context = values["reference_error"][:, 0], values["reference_error"][:, 1]
    leads = {
        "icl_gain": ((), zero - in_context),
        "learnt": (_BY_UPDATE, zero[:, None] - values["test_error"][:, n, chosen]),
        "cos_lead": (_BY_UPDATE, values["cos_icl"][:, n, chosen] - values["cos_shuffled"]),
        **{f"{name}_lead": (("update", "comparison", "site"), _lead(values[name])) for name in ("sim_aou", "specific")},
    }
    coords = {
        "update": list(request.updates), "rate": list(request.rates), "comparison": list(COMPARISONS), "site": list(SITES),
        "layer": np.arange(n_layers), "reference": ["zs", "icl", "icl_reordered", "bayes"],
    }  # fmt: skip
    data = xr.Dataset({"chosen": ("update", chosen)}, coords=coords)
    values |= {f"{name}_mean": _over_layers(values[name]) for name in ("sim_aou", "specific")}
    for name, array in values.items():
        put(data, name, _AXES.get(name, _BY_RATE), [array], request.level)
    for name, (dims, array) in leads.items():
        put_lead(data, name, dims, [array], request.level)
    return data


def _lead(values: np.ndarray) -> np.ndarray:
    """The update's less each comparison's, mean over the layers in which both are there: [task, update, comparison, site]."""
    return _over_layers(values[:, :, :1] - values)


def _over_layers(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis where there is a number; NaN where there is none."""
    counted = np.isfinite(values).sum(-1)
    return np.divide(np.nansum(values, -1), counted, out=np.full(counted.shape, np.nan), where=counted > 0)
