"""`momentum_attention`: the rate chosen on training queries, the answers on others, and the same on shuffled values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result, by_interval, provenance, track
from iclmech.analysis import metrics
from iclmech.analysis.statistics import unit_means
from iclmech.captures import capture
from iclmech.interventions import momentum_attention as with_momentum
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from ._experiment import Given
from ._momentum_request import MOMENTUM_ATTENTION, MomentumRequest
from ._request import ExperimentError

ATTENTION = ("plain", "momentum", "shuffled_values")


class Momentum(Result):
    """Answers with and without momentum in the attention.

    `data`: `training_score` (attention, eta): mean log-probability per token of the right answer, nats, on training queries;
    `chosen_eta` (attention): the best rate there, for the shuffled control its own; `score`, `score_ci`, `accuracy`,
    `accuracy_ci` (attention[, bound]) and `score_by_query` (attention, query) on test queries. attention: plain, momentum,
    shuffled_values (the same weights on past values in random order, mean over draws).
    """

    kind = "momentum"

    def judged(self) -> list[Claim]:
        """Momentum against plain attention, and against its control; in the right answer's log-probability."""
        units, by_query, claims = self.data["demonstrations"].values, self.data["score_by_query"], []
        for claim, other, control in (
            ("Momentum in the attention answers better than attention alone", "plain", "plain attention"),
            ("Momentum answers better than the same weights on shuffled values", "shuffled_values", "shuffled values"),
        ):
            difference = (by_query.sel(attention="momentum") - by_query.sel(attention=other)).values
            low, high = (float(v) for v in np.quantile(unit_means(difference, units), [0.025, 0.975]))
            rule = "difference in nats of the right answer's log-probability per token, paired by query; its interval lies above zero"
            claims.append(Claim(claim, float(difference.mean()), low, high, control, rule, by_interval(low, high)))
        return claims


def momentum_attention(
    model: ICLModel | str,
    task: Task | str,
    k: int = 16,
    n_queries: int = 64,
    *,
    n_contexts: int = 8,
    etas: Sequence[float] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    draws: int = 3,
    seed: int = 0,
    level: float = 0.95,
    progress: bool = False,
) -> Momentum:
    """Add momentum to all attention, z_t + Σ_{i<t} η^(t−i) v_i, with η chosen on training queries.

    Args:
        model, task: what to study, or the names of both.
        k, n_queries, n_contexts: demonstrations, queries, demonstration sets.
        etas: rates to choose from.
        draws: orders of the values in the control, which chooses a rate of its own.
        seed, level, progress: as elsewhere.

    Returns:
        A `Momentum`.

    Raises:
        ExperimentError: no rates or draws.
        InterventionError: a rate outside (0, 1).

    Source: Dai et al. (arXiv 2212.10559), section 5, who train models with it; here a trained model is given it.
    """
    given = Given()
    names = {"model": given.name("model", model, by="name"), "task": given.name("task", task, by="name")}
    rates = tuple(float(eta) for eta in etas)
    request = MomentumRequest(**names, k=k, n_queries=n_queries, n_contexts=n_contexts, etas=rates, draws=draws, seed=seed, level=level)  # fmt: skip
    return MOMENTUM_ATTENTION.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a Momentum


def run_momentum(request: MomentumRequest, *, progress: bool, model: ICLModel, task: Task) -> Momentum:
    """Choose on training queries, answer the others."""
    if not request.etas or request.draws < 1:
        raise ExperimentError(f"got etas={request.etas}, draws={request.draws}; expected a rate and a draw at least.")
    numbers = (request.k, request.n_queries, request.seed, request.n_contexts)
    test, training = (build_prompts(model, task, *numbers, queries_from=split) for split in ("test", "train"))  # type: ignore[arg-type]  # in this order
    curve = np.empty((2, len(request.etas)))
    for n, eta in enumerate(track(request.etas, "choosing a rate", enabled=progress)):
        for shuffled in (False, True):
            curve[int(shuffled), n] = _scores(model, training, eta, shuffled, request)[0].mean()
    best = [request.etas[int(np.argmax(row))] for row in curve]
    runs = [_scores(model, test, None, False, request)]
    runs += [_scores(model, test, eta, shuffled, request) for eta, shuffled in zip(best, (False, True), strict=True)]
    plain = float(_scores(model, training, None, False, request)[0].mean())
    units = np.array([query.context for query in test.queries])
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=[test.hash],
        training_plain=plain, notes=test.meta.get("notes", []),
    )  # fmt: skip
    return Momentum(_dataset(request, curve, best, runs, units), provenance=origin)


def _scores(
    model: ICLModel, prompts: PromptSet, eta: float | None, shuffled: bool, request: MomentumRequest
) -> tuple[np.ndarray, np.ndarray]:
    """(log-probability of the right answer per token, right) of every query; means over draws of the control."""
    found = []
    for draw in range(request.draws if shuffled else 1):
        edits = [] if eta is None else [with_momentum(eta, shuffled=shuffled, seed=1000 * request.seed + draw)]
        acts = capture(model, prompts, "icl", (), interventions=edits)
        found.append((acts.target_scores.double().numpy(), metrics.correct(acts, prompts.labels).double().numpy()))
    scores, right = zip(*found, strict=True)
    return np.mean(scores, axis=0), np.mean(right, axis=0)


def _dataset(
    request: MomentumRequest,
    curve: np.ndarray,
    best: list[float],
    runs: list[tuple[np.ndarray, np.ndarray]],
    units: np.ndarray,
) -> xr.Dataset:
    ends = [(1 - request.level) / 2, (1 + request.level) / 2]
    data = xr.Dataset({"training_score": (("tried", "eta"), curve), "chosen_eta": (("tried",), best)})
    for name, values in zip(("score", "accuracy"), (np.stack(v) for v in zip(*runs, strict=True)), strict=True):
        data[f"{name}_by_query"] = (("attention", "query"), values)
        data[name] = (("attention",), values.mean(axis=1))
        data[f"{name}_ci"] = (("attention", "bound"), np.quantile(unit_means(values.T, units), ends, axis=0).T)
    data["demonstrations"] = (("query",), units)
    return data.assign_coords(
        tried=list(ATTENTION[1:]), attention=list(ATTENTION), eta=list(request.etas), bound=["low", "high"]
    )
