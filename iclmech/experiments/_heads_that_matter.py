"""`heads_that_matter`: scores of heads by two tests, and what is lost without the best of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import provenance, track
from iclmech.analysis import metrics
from iclmech.analysis.statistics import unit_means
from iclmech.captures import Row, capture, iter_run
from iclmech.interventions import EditSite
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, load_task
from iclmech.vectors import head_effects

from ._ablated_heads import Head, ablation, mean_outputs, of_same_layers, ranked
from ._experiment import Given
from ._head_effects import own_contexts
from ._heads_request import HEADS_THAT_MATTER, HeadsRequest
from ._heads_result import RANKINGS, HeadsThatMatter
from ._induction_heads import induction_heads, random_tokens
from ._request import ExperimentError

_REPEATED = 30  # random tokens, twice


def heads_that_matter(
    model: ICLModel | str,
    task: Task | str,
    k: int = 10,
    n_queries: int = 64,
    *,
    score_tasks: Sequence[str] = (),
    n_contexts: int = 8,
    n_score: int = 32,
    shares: Sequence[float] = (0.02, 0.05, 0.1, 0.2),
    exclude: float = 0.02,
    draws: int = 3,
    method: str = "exact",
    seed: int = 0,
    level: float = 0.95,
    progress: bool = False,
) -> HeadsThatMatter:
    """Ablate the heads with the highest function-vector scores, or induction scores, and see what the task loses.

    Function-vector score: the mean indirect effect of `head_effects`, over `score_tasks`. Induction score: prefix matching of
    `induction_heads`. Of each ranking the other's top `exclude` is left out. Ablation puts a head's mean output, over all
    tokens of the prompts but BOS, in the place of its output at all tokens but BOS. Controls: as many random heads of the same layers.

    Args:
        model, task: what to study, or the names of both.
        k, n_queries, n_contexts: demonstrations, queries, and demonstration sets of the evaluation.
        score_tasks: names of other tasks for the scores; by default the task itself, with queries of its training split.
        n_score: queries per task for the scores.
        shares: of all heads that are ablated.
        exclude: share of the other ranking that is left out.
        draws: random sets for each ablated one.
        method: of `head_effects`.
        seed, level, progress: as elsewhere.

    Returns:
        A `HeadsThatMatter`.

    Raises:
        ExperimentError: shares outside (0, 1), or no draws.

    Source: Yin, Steinhardt, Which Attention Heads Matter for In-Context Learning? (arXiv 2502.14010).
    """
    given = Given()
    request = HeadsRequest(
        model=given.name("model", model, by="name"), task=given.name("task", task, by="name"), score_tasks=tuple(score_tasks),
        k=k, n_queries=n_queries, n_contexts=n_contexts, n_score=n_score, shares=tuple(float(s) for s in shares), exclude=exclude,
        draws=draws, method=method, seed=seed, level=level,
    )  # fmt: skip
    return HEADS_THAT_MATTER.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a HeadsThatMatter


def run_heads(request: HeadsRequest, *, progress: bool, model: ICLModel, task: Task) -> HeadsThatMatter:
    """Scores, rankings, ablations."""
    if not request.shares or not all(0 < share < 1 for share in request.shares) or request.draws < 1:
        raise ExperimentError(
            f"got shares={request.shares}, draws={request.draws}; expected shares of all heads between 0 and 1, and a draw."
        )
    scores = {"function_vector": _function_vector_scores(model, task, request, progress)}
    induction = induction_heads(model, _REPEATED, seed=request.seed)
    scores["induction"] = torch.tensor(induction.data["prefix_matching"].values)
    n = scores["induction"].numel()
    left_out = {name: ranked(score)[: round(request.exclude * n)] for name, score in scores.items()}
    orders = {"function_vector": ranked(scores["function_vector"], left_out["induction"]),
              "induction": ranked(scores["induction"], left_out["function_vector"])}  # fmt: skip
    prompts = build_prompts(model, task, request.k, request.n_queries, request.seed, request.n_contexts)
    trial = _Trial(model, prompts, request.seed)
    found = {name: np.full((len(request.shares), len(prompts.queries)), np.nan) for name in RANKINGS}
    copied = {name: np.full(len(request.shares), np.nan) for name in RANKINGS}
    intact = trial(())
    for s, share in enumerate(track(request.shares, "ablating heads", enabled=progress)):
        for name, order in orders.items():
            heads = order[: max(1, round(share * n))]
            found[name][s], copied[name][s] = trial(heads)
            drawn = [trial(of_same_layers(heads, model.shape.n_heads, request.seed, d)) for d in range(request.draws)]
            found[f"random_{name}"][s] = np.mean([right for right, _ in drawn], axis=0)
            copied[f"random_{name}"][s] = np.mean([loss for _, loss in drawn])
    units = np.array([query.context for query in prompts.queries])
    data = _dataset(request, scores, found, copied, intact, units)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=[prompts.hash],
        score_tasks=list(request.score_tasks) or [f"{task.name}, training split"], notes=prompts.meta.get("notes", []),
    )  # fmt: skip
    return HeadsThatMatter(data, provenance=origin)


def _function_vector_scores(model: ICLModel, task: Task, request: HeadsRequest, progress: bool) -> Tensor:
    """Mean effects, averaged over the tasks."""
    k, n, seed = request.k, request.n_score, request.seed
    sets = [own_contexts(model, load_task(name), k, n, seed) for name in request.score_tasks]
    sets = sets or [own_contexts(model, task, k, n, seed, queries_from="train")]
    effects = [head_effects(model, prompts, request.method, seed=seed, progress=progress) for prompts in sets]
    return torch.stack([found.aie for found in effects]).mean(dim=0)


class _Trial:
    """Answers to the queries, and copying of repeated random tokens, without some heads."""

    def __init__(self, model: ICLModel, prompts: PromptSet, seed: int):
        self.model, self.prompts, self.means = model, prompts, mean_outputs(model, prompts)
        self.rows = random_tokens(model, _REPEATED, 4, seed)

    def __call__(self, heads: Sequence[Head]) -> tuple[np.ndarray, float]:
        """(1 where a query is answered rightly, loss on the second copy of random tokens in nats per token)."""
        acts = capture(self.model, self.prompts, "icl", (), interventions=ablation(heads, self.means))
        everywhere = ablation(heads, self.means, at=None)
        return metrics.correct(acts, self.prompts.labels).double().numpy(), self._copying(everywhere)

    @torch.no_grad()
    def _copying(self, edits: Sequence[EditSite]) -> float:
        n, losses = _REPEATED, []
        for half in self.rows.tolist():
            row = Row([*half, *half], tuple(range(n, 2 * n - 1)))
            last = self.model.shape.n_layers - 1
            (chunk,) = iter_run(
                self.model, [self.model.bos], [row], ("resid_post",), layers=[last], interventions=edits
            )
            scores = torch.log_softmax(self.model.readout(chunk.values["resid_post"][0, :, 0]).float(), dim=-1)
            losses.append(-scores[torch.arange(n - 1), torch.tensor(half[1:], device=scores.device)].mean())
        return float(torch.stack(losses).mean())


def _dataset(
    request: HeadsRequest,
    scores: dict[str, Tensor],
    found: dict[str, np.ndarray],
    copied: dict[str, np.ndarray],
    intact: tuple[np.ndarray, float],
    units: np.ndarray,
) -> xr.Dataset:
    right = np.stack([found[name] for name in RANKINGS])  # [ranking, share, query]
    ends = [(1 - request.level) / 2, (1 + request.level) / 2]
    low_high = np.nanquantile(unit_means(np.moveaxis(right, -1, 0), units), ends, axis=0)
    data = xr.Dataset({name + "_score": (("layer", "head"), score.double().numpy()) for name, score in scores.items()})
    data["right"] = (("ranking", "share", "query"), right)
    data["accuracy"] = data["right"].mean("query")
    data["accuracy_ci"] = (("ranking", "share", "bound"), np.moveaxis(low_high, 0, -1))
    data["copying_loss"] = (("ranking", "share"), np.stack([copied[name] for name in RANKINGS]))
    data["right_intact"], data["copying_loss_intact"] = (("query",), intact[0]), intact[1]
    data["demonstrations"] = (("query",), units)
    sizes: dict[str, Any] = {name: range(data.sizes[name]) for name in ("layer", "head")}
    return data.assign_coords(ranking=list(RANKINGS), share=list(request.shares), bound=["low", "high"], **sizes)
