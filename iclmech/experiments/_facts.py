"""`facts_as_gradients`: questions behind facts, and without them after updates on the same facts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from iclmech._base import REGISTRIES, provenance, track
from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.tasks import Context, PromptSet, build_facts

from ._estimates import add_estimate
from ._experiment import Given
from ._facts_request import FACTS, FactsRequest
from ._facts_result import FactsComparison
from ._request import ExperimentError

Learn = Callable[[Context, float], Any]


def facts_as_gradients(
    model: ICLModel | str,
    *,
    hops: Sequence[int] = FactsRequest.hops,
    things: Sequence[int] = FactsRequest.things,
    n_episodes: int = 12,
    updates: Sequence[str] = FactsRequest.updates,
    rates: Sequence[float] = FactsRequest.rates,
    steps: int = 4,
    n_held_out: int = 4,
    parameters: str = "all",
    seed: int = 0,
    level: float = 0.95,
    progress: bool = False,
) -> FactsComparison:
    """Facts in the prompt against the same facts as steps of gradient descent, over hops and distractors.

    Every update reads the statements of a set one by one, `steps` times over, with the loss on all their tokens; then the questions
    are asked without the statements. Its learning rate is the one with the lowest loss of right places on other sets. Control of each
    way: the facts of another set, from which nothing but the form can be learnt.

    Args:
        model: a model or its name.
        hops, things: see `iclmech.tasks.build_facts`; all pairs are run.
        n_episodes: sets of facts.
        updates: registered updates.
        rates: to choose from.
        steps: passes over the facts.
        n_held_out: sets on which rates are chosen.
        parameters: "attn_kv", "attn_v" or "all".
        seed: draws the facts.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `FactsComparison`.

    Raises:
        ExperimentError: fewer than two sets of facts, or no rates.

    Source: Chen et al., arXiv 2305.06349 (RECKONING), whose inner steps are AdamW's; there the weights are trained for that beforehand.
    """
    given = Given()
    request = FactsRequest(
        model=given.name("model", model, by="name"), hops=tuple(hops), things=tuple(things), n_episodes=n_episodes, updates=tuple(updates),
        rates=tuple(rates), steps=steps, n_held_out=n_held_out, parameters=parameters, seed=seed, level=level,
    )  # fmt: skip
    return FACTS.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a FactsComparison


def run_facts(request: FactsRequest, *, progress: bool, model: ICLModel) -> FactsComparison:
    """Run every number of hops and things as the request says."""
    if request.n_episodes < 2 or request.n_held_out < 1 or not request.rates or request.steps < 1:
        raise ExperimentError(
            f"got n_episodes={request.n_episodes}, n_held_out={request.n_held_out}, rates={request.rates}, steps={request.steps}; expected "
            "two sets of facts or more, one held out, a rate and a step."
        )
    ways = ["zs", "icl", *(f"ft:{u}" for u in request.updates)]
    cells = [(h, t) for h in request.hops for t in request.things]
    data = xr.Dataset(coords={"way": ways, "hops": list(request.hops), "things": list(request.things)})
    values: dict[str, dict[tuple[int, int], np.ndarray]] = {}
    rates = np.full((len(ways), len(request.hops), len(request.things)), np.nan)
    hashes = []
    for hops, things in track(cells, "facts", enabled=progress):
        prompts = build_facts(model, request.n_episodes, things, hops, request.seed)
        hashes.append(prompts.hash)
        others = prompts.with_contexts([*prompts.contexts[1:], prompts.contexts[0]], control="facts of another set")
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("accuracy", "gold_nll", "above_others")}
        for w, way in enumerate(ways):
            learn = None
            if way.startswith("ft:"):
                learn, rate = _chosen(model, request, way.removeprefix("ft:"), hops, things)
                rates[w, request.hops.index(hops), request.things.index(things)] = rate
            right, nll = _asked(model, prompts, way, learn)
            wrong = np.full_like(right, np.nan) if way == "zs" else _asked(model, others, way, learn)[0]
            for name, column in zip(columns, (right, nll, right - wrong), strict=True):
                columns[name].append(column)
        for name, found in columns.items():
            values.setdefault(name, {})[hops, things] = np.stack(found, axis=-1)  # [episode, query, way]
    _add(data, values, request)
    data["rate"] = (("way", "hops", "things"), rates)
    origin = provenance(model={"name": model.name, "hash": model.hash()}, prompts=hashes, level=request.level)
    return FactsComparison(data, provenance=origin)


def _learner(model: ICLModel, request: FactsRequest, update: str) -> Learn:
    record = REGISTRIES["update"][update]
    options: dict[str, Any] = {"loss": "all", "parameters": request.parameters, "epochs": request.steps}
    return lambda context, lr: record(model, context, lr=lr, **options)


def _chosen(
    model: ICLModel, request: FactsRequest, update: str, hops: int, things: int
) -> tuple[Callable[[Context], Any], float]:
    """The update at the rate with the lowest loss on other sets of facts, the smallest of equals."""
    learn = _learner(model, request, update)
    held_out = build_facts(model, request.n_held_out, things, hops, request.seed + 1000)
    losses = []
    for rate in request.rates:
        _, nll = _asked(model, held_out, f"ft:{update}", lambda context, lr=rate: learn(context, lr))
        losses.append(float(np.mean(nll)) if np.isfinite(nll).all() else np.inf)
    rate = request.rates[int(np.argmin(losses))]
    return (lambda context: learn(context, rate)), rate


def _asked(
    model: ICLModel, prompts: PromptSet, way: str, learn: Callable[[Context], Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each question is answered rightly, and the loss of its place, [episode, query]."""
    right, losses = [], []
    for c, context in enumerate(prompts.contexts):
        own = replace(
            prompts, contexts=[context], queries=[replace(q, context=0) for q in prompts.queries if q.context == c]
        )
        with learn(context).applied(model) if learn else contextlib.nullcontext():
            acts = capture(model, own, "icl" if way == "icl" else "zs", ())
        gold = torch.tensor([q.label or 0 for q in own.queries])
        right.append((acts.label_probs.argmax(-1) == gold).double().numpy())
        losses.append(torch.nn.functional.cross_entropy(acts.label_scores.double(), gold, reduction="none").numpy())
    return np.stack(right), np.stack(losses)


def _add(data: xr.Dataset, values: dict[str, dict[tuple[int, int], np.ndarray]], request: FactsRequest) -> None:
    """Estimates by way, hops and things: sets of facts are the draws, and their questions are averaged first."""
    means = {
        name: np.stack(
            [np.stack([cells[h, t].mean(axis=1, keepdims=True) for t in request.things], -1) for h in request.hops], -2
        )
        for name, cells in values.items()
    }  # [episode, 1, way, hops, things]
    limits = {"accuracy": (0.0, 1.0), "gold_nll": (0.0, np.inf), "above_others": (-1.0, 1.0), "below_icl": (-1.0, 1.0)}
    means["below_icl"] = means["accuracy"][:, :, [1]] - means["accuracy"]
    for name, value in means.items():
        add_estimate(data, name, ("way", "hops", "things"), value, request.level, limits=limits[name], kind="nested")
