"""What the states of an update are held against: other updates, other contexts, and what they have of their own task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iclmech._base import REGISTRIES, UpdateError, rng, track
from iclmech.analysis import metrics
from iclmech.experiments.comparison._matched_scales import noise_like, scaled, scales_by_capture
from iclmech.models import ICLModel
from iclmech.updates import WeightUpdate

from ._one_task import OneTask, implied_weights
from ._updates_request import FunctionUpdatesRequest
from ._updates_result import COMPARISONS, SITES

States = tuple[dict[str, Tensor], Tensor]
"""({site: [point, layer, d_model]}, answers [point])."""


def learned(
    request: FunctionUpdatesRequest, model: ICLModel, name: str, rate: float, task: OneTask, order: Tensor | None = None
) -> WeightUpdate | None:
    """The update on a task's pairs, values in another order if one is given; None where it diverges."""
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


def under(model: ICLModel, update: WeightUpdate | None, task: OneTask) -> States | None:
    """States and answers of the points alone, under an update."""
    if update is None:
        return None
    with update.applied(model):
        return task.states(model, "zs", SITES)


def similarity(zs: States, icl: States, row: States | None) -> np.ndarray:
    """Mean over points of SimAOU, [site, layer]; NaN where there is no update."""
    if row is None:
        return _nothing(icl)
    found = [metrics.sim_aou(zs[0], icl[0], row[0], site=site).nanmean(0) for site in SITES]  # type: ignore[arg-type]
    return torch.stack(found).double().numpy()


def specific(icl: States, other: States, mine: States | None, theirs: States | None) -> np.ndarray:
    """Mean over points of the cosine of two differences between tasks, [site, layer]: ICL's, and another way's.

    What any context brings along (a position, something to attend to) is the same behind the pairs of two functions and
    falls out.
    """
    if mine is None or theirs is None:
        return _nothing(icl)
    found = [F.cosine_similarity(icl[0][s] - other[0][s], mine[0][s] - theirs[0][s], dim=-1).mean(0) for s in SITES]
    return torch.stack(found).double().numpy()


def order_of(task: OneTask, purpose: str) -> Tensor:
    """A random order of a task's pairs."""
    return torch.randperm(task.rows.n_examples - 1, generator=rng(len(task.clean), f"{purpose} of {task.rows.hash}"))


def controls(
    request: FunctionUpdatesRequest,
    model: ICLModel,
    tasks: Sequence[OneTask],
    real: Mapping[str, Sequence[WeightUpdate | None]],
    rates: Mapping[str, float],
    progress: bool,
) -> dict[str, np.ndarray]:
    """`sim_aou` and `specific` [task, update, comparison, site, layer], and `cos_shuffled` [task, update].

    Tasks stand in pairs, each the other function beside its partner; one that is left over has none.
    """
    fresh, rows = model.untrained(0), []
    partner = [min(n ^ 1, len(tasks) - 1) for n in range(len(tasks))]
    pairs = [_pair(model, fresh, task, tasks[partner[n]]) for n, task in enumerate(tasks)]
    for name, mine in real.items():
        shuffled, bare = [], []
        for task in track(tasks, f"controls of {name}", enabled=progress):
            shuffled.append(learned(request, model, name, rates[name], task, order_of(task, "shuffled values")))
            bare.append(learned(request, fresh, name, rates[name], task))
        column = []
        for n in track(range(len(tasks)), f"states under {name}", enabled=progress):
            taught = {"update": (model, mine), "shuffled_y": (model, shuffled), "untrained": (fresh, bare)}
            found = {
                who: (one, made[n], made[partner[n]] if partner[n] != n else None)
                for who, (one, made) in taught.items()
            }
            column.append(_of_pair(request, model, pairs[n], found))
        rows.append({key: np.stack([one[key] for one in column]) for key in column[0]})
    return {key: np.stack([row[key] for row in rows], 1) for key in rows[0]}


class _Pair(NamedTuple):
    """One task beside another, and what happens without an update; `trained` and `fresh`: alone, in context, behind the other."""

    task: OneTask
    left_over: bool
    trained: tuple[States, States, States]
    fresh: tuple[States, States, States]
    again: States
    turned: States


def _pair(model: ICLModel, fresh: ICLModel, task: OneTask, partner: OneTask) -> _Pair:
    other = task.behind(partner)
    trained, untrained = (
        (task.states(one, "zs", SITES), task.states(one, "icl", SITES), other.states(one, "icl", SITES))
        for one in (model, fresh)
    )
    again, turned = (
        one.reordered(order_of(one, "pairs in another order")).states(model, "icl", SITES) for one in (task, other)
    )
    return _Pair(task, task is partner, trained, untrained, again, turned)


def _of_pair(
    request: FunctionUpdatesRequest,
    model: ICLModel,
    pair: _Pair,
    taught: Mapping[str, tuple[ICLModel, WeightUpdate | None, WeightUpdate | None]],
) -> dict[str, Any]:
    """The numbers of one update on one task beside another, [comparison, site, layer]; a way without a number is NaN."""
    task, (zs, icl, behind_other) = pair.task, pair.trained
    sims = {"icl_reordered": similarity(zs, icl, pair.again), "icl_other_task": similarity(zs, icl, behind_other)}
    own = {"icl_reordered": specific(icl, behind_other, pair.again, pair.turned)}
    if pair.left_over:
        sims["icl_other_task"] = own["icl_reordered"] = _nothing(icl)
    found: dict[str, Any] = {}
    for who, (one, mine, theirs) in taught.items():
        here, there = under(one, mine, task), under(one, theirs, task)
        bare, context, away = pair.trained if one is model else pair.fresh
        sims[who], own[who] = similarity(bare, context, here), specific(context, away, here, there)
        if who == "shuffled_y":
            found["cos_shuffled"] = np.array(cosine_of_weights(task, icl[1], None if here is None else here[1]))
    sims["matched_update"] = _matched(request, model, taught["update"][1], task, zs, icl)
    blank = _nothing(icl)
    found |= {"sim_aou": np.stack([sims[name] for name in COMPARISONS])}
    return found | {"specific": np.stack([own.get(name, blank) for name in COMPARISONS])}


def cosine_of_weights(task: OneTask, a: Tensor, b: Tensor | None) -> float:
    """Cosine of the weights that two ways of answering imply."""
    if b is None:
        return float("nan")
    first, second = (implied_weights(task.points, one)[0] for one in (a, b))
    return float(F.cosine_similarity(first, second, dim=0))


def _nothing(icl: States) -> np.ndarray:
    return np.full((len(SITES), icl[0][SITES[0]].shape[1]), np.nan)


def _matched(
    request: FunctionUpdatesRequest, model: ICLModel, real: WeightUpdate | None, task: OneTask, zs: States, icl: States
) -> np.ndarray:
    """SimAOU of random changes that move every layer's attn_out as far; NaN in layers where none does."""
    if real is None or request.draws < 1:
        return _nothing(icl)
    noise = noise_like(real, len(task.clean), request.draws)
    found = scales_by_capture(model, task.rows, "last", real, noise)
    sims = []
    for one, factors, reached in zip(noise, found.scales, found.reached, strict=True):
        sims.append(np.where(reached, similarity(zs, icl, under(model, scaled(real, one, factors), task)), np.nan))
    counted = np.isfinite(sims).sum(0)
    return np.divide(np.nansum(sims, 0), counted, out=np.full(counted.shape, np.nan), where=counted > 0)
