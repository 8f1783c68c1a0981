"""`tuned_contexts`: queries behind demonstrations as they are, refined, and moved as far in random directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result, provenance, track
from iclmech.analysis import metrics
from iclmech.captures import capture
from iclmech.context_tuning import tune_context
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from ._estimates import Lead, add_estimate, judge_leads
from ._experiment import Given
from ._request import ExperimentError, seeds_of
from ._tuning_request import CONTEXT_TUNING, TuningRequest

WAYS = ("tuned", "random")
MEASURES = {"accuracy": "share", "label_nll": None}


class TunedContexts(Result):
    """Accuracy and loss behind refined demonstrations, by how far their tokens may move.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (…, bound) is the two-way interval of `m` over seeds and queries. *By (way, radius)*, way tuned
            or random: accuracy; label_nll, nats per token; above_icl, paired difference of accuracy to the demonstrations as they are.
            *By (radius)*: above_random, of tuned to random; context_loss of the tuned context, nats. icl_accuracy, zs_accuracy, icl_loss.
    """

    kind = "context-tuning"

    def judged(self) -> list[Claim]:
        """Refined demonstrations against those as they are, and against random moves of the same lengths."""
        leads = []
        for radius in (float(r) for r in self.data["radius"].values):
            leads.append(
                Lead(
                    f"refined demonstrations beat those as they are (radius {radius:g})",
                    "above_icl",
                    {"way": "tuned", "radius": radius},
                    "ICL",
                )
            )
            leads.append(
                Lead(
                    f"refined demonstrations beat random moves (radius {radius:g})",
                    "above_random",
                    {"radius": radius},
                    "random moves",
                )
            )
        return judge_leads(self.data, leads, float(self.provenance["level"]))

    def answer(self) -> list[str]:
        """Accuracy by radius, the loss on the demonstrations, and what is shown."""
        d = self.data
        parts = [
            f"{float(r):g}: {float(d['accuracy'].sel(way='tuned', radius=r)):.2f} (random moves {float(d['accuracy'].sel(way='random', radius=r)):.2f}, "
            f"loss of the context {float(d['context_loss'].sel(radius=r)):.2f})"
            for r in d["radius"].values
        ]
        claims = self.judged()
        shown = [c for c in claims if c.verdict in ("holds", "does not hold")]
        return [
            f"In context, accuracy is {float(d['icl_accuracy']):.2f} (loss of the context {float(d['icl_loss']):.2f}), zero-shot "
            f"{float(d['zs_accuracy']):.2f}; refined, by radius, " + "; ".join(parts) + ".",
            *(f"{c.claim}: {c.verdict} ({c.measured:+.3f} [{c.low:.3f}, {c.high:.3f}])." for c in shown),
            f"{sum(c.verdict == 'not shown' for c in claims)} of {len(claims)} claims are not shown either way.",
        ]


def tuned_contexts(
    model: ICLModel | str,
    task: Task | str,
    k: int = 8,
    n_queries: int = 64,
    *,
    seeds: int | Sequence[int] = 3,
    radii: Sequence[float] = TuningRequest.radii,
    steps: int = 10,
    lr: float = 0.2,
    level: float = 0.95,
    progress: bool = False,
) -> TunedContexts:
    """Whether demonstrations are worth more once their embeddings have taken gradient steps on their own labels.

    Args:
        model, task: what to study, or the names of both.
        k, n_queries: demonstrations, and queries (the same for every seed).
        seeds: draws of demonstrations: how many, or which.
        radii: how far a token may move, as shares of the norm of its embedding.
        steps, lr: as in `icl.context_tuning.tune_context`.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `TunedContexts`.

    Raises:
        ExperimentError: no demonstrations or radii, or a radius that is not positive.

    Source: Blau et al., arXiv 2410.17222; see `tune_context` for what differs.
    """
    given = Given()
    request = TuningRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        seeds=seeds if isinstance(seeds, int) else seeds_of(seeds),
        radii=tuple(float(r) for r in radii),
        steps=steps,
        lr=lr,
        level=level,
    )
    return CONTEXT_TUNING.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a TunedContexts


def run_tuning(request: TuningRequest, *, progress: bool, model: ICLModel, task: Task) -> TunedContexts:
    """Run every seed and radius as the request says."""
    if request.k < 1 or not request.radii or min(request.radii) <= 0:
        raise ExperimentError(f"got k={request.k}, radii={request.radii}; expected a demonstration, and radii above 0.")
    seeds = seeds_of(request.seeds)
    tables, plain, losses, first, hashes = [], {"icl": [], "zs": []}, [], [], []
    for seed in track(seeds, "context tuning", enabled=progress):
        prompts = build_prompts(model, task, request.k, request.n_queries, seed)
        hashes.append(prompts.hash)
        for setting, found in plain.items():
            found.append(_numbers(model, prompts, "zs" if setting == "zs" else "icl")["accuracy"])
        made = [tune_context(model, prompts, steps=request.steps, lr=request.lr, radius=r) for r in request.radii]
        losses.append([tuned.losses[-1] for tuned in made])
        first.append(made[0].losses[0])
        edits = {"tuned": made, "random": [tuned.random(seed) for tuned in made]}
        tables.append({way: [_numbers(model, prompts, "icl", (edit,)) for edit in edits[way]] for way in WAYS})
    data = xr.Dataset(coords={"way": list(WAYS), "radius": list(request.radii)})

    def values(name: str) -> np.ndarray:
        return np.stack([np.stack([np.stack([one[name] for one in t[w]], -1) for w in WAYS], -2) for t in tables])

    for name, binary in MEASURES.items():
        add_estimate(data, name, ("way", "radius"), values(name), request.level, binary=binary)
    right, icl = values("accuracy"), np.stack(plain["icl"])
    add_estimate(data, "above_icl", ("way", "radius"), right - icl[..., None, None], request.level, binary="difference")
    add_estimate(data, "above_random", ("radius",), right[:, :, 0] - right[:, :, 1], request.level, binary="difference")
    add_estimate(data, "context_loss", ("radius",), np.asarray(losses)[:, None], request.level, kind="nested")
    for setting, found in plain.items():
        add_estimate(data, f"{setting}_accuracy", (), np.stack(found), request.level, binary="share")
    data["icl_loss"] = float(np.mean(first))
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=hashes,
        k=request.k, n_queries=request.n_queries, seeds=list(seeds), level=request.level,
    )  # fmt: skip
    return TunedContexts(data, provenance=origin)


def _numbers(model: ICLModel, prompts: PromptSet, setting: str, edits: Sequence = ()) -> dict[str, np.ndarray]:
    acts = capture(model, prompts, "zs" if setting == "zs" else "icl", (), interventions=edits)
    return {
        "accuracy": metrics.correct(acts, prompts.labels).double().numpy(),
        "label_nll": metrics.label_nll(acts, prompts.labels).double().numpy(),
    }
