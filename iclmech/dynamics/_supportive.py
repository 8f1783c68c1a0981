"""`supportive`: training sequences whose gradients agree with that of in-context learning, and training on top on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from iclmech._base import Cells, Claim, Guard, Result, Verdict, by_interval, np_rng, provenance, track
from iclmech.analysis import metrics
from iclmech.captures import capture
from iclmech.experiments import ExperimentError, Given, seeds_asked, seeds_of
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.training import OwnModel, Run, TokenBatch, build_optimizers, token_loss, train

from ._history import interval
from ._snapshot_requests import SUPPORTIVE, SupportiveRequest
from ._supportive_sequences import (
    Candidates,
    answers,
    gradient,
    joined,
    matched_in_norm,
    mixture,
    own_candidates,
    scores,
)

if TYPE_CHECKING:
    import pandas as pd

SETS = ("none", "supportive", "random", "norm-matched", "opposed")
"""No further training; the highest cosines; any sequences; others with the gradient norms of the first; the lowest cosines."""
PER_STEP, CONTEXTS = 8, 8


class Supportive(Result):
    """What training on top on each set of sequences did.

    `data`: accuracy and nll (set, setting, seed), "icl" and "zs", on prompts that no gradient was taken of; cosine and norm
    (seed, candidate), part (candidate); share (set, parts, seed), of the sequences of a set.
    """

    kind = "supportive"

    def change(self, name: str, measure: str = "nll", setting: str = "icl") -> np.ndarray:
        """What a set changed, seed by seed: after less before; of the loss, how much it fell."""
        values = self.data[measure].sel(setting=setting)
        sign = -1.0 if measure == "nll" else 1.0
        return sign * (values.sel(set=name).values - values.sel(set="none").values)

    def summary(self) -> pd.DataFrame:
        """`measure`, `name` (a set, or a part of the candidates), `setting`, `mean`, `low`, `high` (a bootstrap over seeds)."""
        import pandas as pd

        rows = []

        def add(measure: str, name: str, setting: str, values: np.ndarray) -> None:
            low, high = interval(values)
            rows.append(
                {
                    "measure": measure,
                    "name": name,
                    "setting": setting,
                    "mean": float(np.mean(values)),
                    "low": low,
                    "high": high,
                }
            )

        for measure in ("accuracy", "nll"):
            for setting in ("icl", "zs"):
                for name in SETS:
                    add(measure, name, setting, self.data[measure].sel(set=name, setting=setting).values)
        parts = self.data["part"].values
        for part in dict.fromkeys(parts):
            add("cosine", str(part), "", self.data["cosine"].values[:, parts == part].mean(1))
            add("share of the supportive", str(part), "", self.data["share"].sel(set="supportive", parts=part).values)
        return pd.DataFrame(rows)

    def judged(self) -> list[Claim]:
        """Whether the supportive set helps learning in context more than the others, and whether zero-shot gains as much."""
        ours, rule = (
            self.change("supportive"),
            "at least 3 seeds, a bootstrap over them: the interval of the difference lies above 0",
        )
        found = []
        for other in ("random", "norm-matched", "opposed"):
            claim = f"The loss in context falls more on the supportive set than on the {other} one"
            found.append(_paired(claim, ours - self.change(other), f"{other} set, nats", rule))
        zero = self.change("supportive", setting="zs") - self.change("random", setting="zs")
        claim = "What the supportive set adds is learning in context, not answers without it"
        return [
            *found,
            _paired(claim, ours - self.change("random") - zero, "the same difference zero-shot, nats", rule),
        ]

    def answer(self) -> list[str]:
        """Which parts of the training support learning in context, then the claims."""
        parts = self.data["part"].values
        mean = {str(p): float(self.data["cosine"].values[:, parts == p].mean()) for p in dict.fromkeys(parts)}
        ordered = sorted(mean, key=lambda p: -mean[p])
        shown = ", ".join(f"{part} {mean[part]:.3f}" for part in ordered)
        return [f"Mean cosine of gradients with that of the prompts: {shown}.", *super().answer()]


def _paired(claim: str, difference: np.ndarray, control: str, rule: str) -> Claim:
    low, high = interval(difference)
    verdict: Verdict = by_interval(low, high) if len(difference) > 2 else "not shown"
    return Claim(claim, float(difference.mean()), low, high, control, rule, verdict)


def supportive(
    model: ICLModel | str = "icl-mini@step-3500",
    task: Task | str = "mini/topic-symbols",
    candidates: Candidates | None = None,
    *,
    k: int = 8,
    n_prompts: int = 48,
    n_candidates: int = 240,
    length: int = 128,
    chosen: int = 32,
    steps: int = 12,
    lr: float = 5e-4,
    seeds: int | Sequence[int] = 3,
    out: str | Path | None = None,
    progress: bool = False,
) -> Supportive:
    """Score training sequences by the cosine of their gradient with that of in-context prompts, and train on top on some.

    Args:
        model, task: what is trained further, and whose prompts are to be supported. The model is left bit for bit as it was.
        candidates: {part: sequences of ids of one length}; by default drawn from icl-mini's own training.
        k, n_prompts: demonstrations, and prompts for the gradient; as many others, of held-out examples, are measured.
        n_candidates, length: sequences drawn, and their tokens.
        chosen, steps, lr: sequences of a set, and AdamW's steps on it, 8 sequences each.
        seeds: draws of everything.
        out: a directory in which finished seeds and the result are kept, as in `compare`.
        progress: show a bar on standard error.

    Returns:
        A `Supportive`.

    Raises:
        ExperimentError: fewer candidates than two sets take, or sequences of several lengths.

    Source: after Han et al. (arXiv 2306.15091), who also score again while they train; sets matched in norm are ours.
    """
    given = Given()
    request = SupportiveRequest(
        model=given.name("model", model, by="name"), task=given.name("task", task, by="name"), k=k, n_prompts=n_prompts,
        n_candidates=n_candidates, length=length, chosen=chosen, steps=steps, lr=lr, seeds=seeds_asked(seeds),
    )  # fmt: skip
    if candidates is not None:
        given.inputs["candidates"] = candidates
        out = None
    return SUPPORTIVE.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # of this class


def run(
    request: SupportiveRequest,
    *,
    progress: bool,
    cells: Cells,
    model: ICLModel,
    task: Task,
    candidates: Candidates | None = None,
) -> Supportive:
    """Score, train and measure with every seed."""
    rows = {}
    for seed in track(seeds_of(request.seeds), "seeds", enabled=progress):
        rows[seed] = cells.once(f"seed {seed}", lambda s=seed: _one(request, s, model, task, candidates))
    about = provenance(model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash})
    return Supportive(_dataset(rows), provenance=about)


def _one(
    request: SupportiveRequest, seed: int, model: ICLModel, task: Task, candidates: Candidates | None
) -> dict[str, Any]:
    drawn = mixture(request.n_candidates, request.length, seed) if candidates is None else own_candidates(candidates)
    parts, batches = drawn
    if len(batches) < 2 * request.chosen:
        raise ExperimentError(
            f"got {len(batches)} candidates for sets of {request.chosen}; expected at least twice as many."
        )
    prompts = {
        split: build_prompts(
            model, task, request.k, request.n_prompts, seed=2 * seed + n, n_contexts=min(CONTEXTS, request.n_prompts), query_seed=seed, queries_from=split
        )
        for n, split in enumerate(("train", "test"))
    }  # fmt: skip
    with model.reading(), unchanged(model), torch.enable_grad():
        module = OwnModel(model)
        found = scores(module, batches, gradient(module, answers(prompts["train"])))
        sets = _sets(found.cosine, found.norm, request.chosen, seed)
        start = [p.detach().clone() for p in module.parameters()]
        measured = {}
        for name, numbers in sets.items():
            if numbers:
                _train(module, [batches[n] for n in numbers], request)
            measured[name] = _abilities(model, prompts["test"])
            _put(module, start)
    return {"parts": parts, "cosine": found.cosine, "norm": found.norm, "sets": sets, "measured": measured}


def unchanged(model: ICLModel) -> Guard:
    """Weights, and which of them want gradients, at the end as they were."""

    def change(guard: Guard) -> None:
        for parameter in model.parameters("all"):
            tensor = parameter.tensor
            guard.undo(partial(tensor.requires_grad_, tensor.requires_grad))
            guard.undo(partial(_copy, tensor, tensor.detach().clone()))

    return Guard(change)


@torch.no_grad()
def _copy(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.copy_(value)


def _put(module: OwnModel, values: Sequence[torch.Tensor]) -> None:
    for parameter, value in zip(module.parameters(), values, strict=True):
        _copy(parameter, value)


def _sets(cosine: np.ndarray, norm: np.ndarray, n: int, seed: int) -> dict[str, list[int]]:
    order = [int(i) for i in np.argsort(-cosine, kind="stable")]
    draw = np_rng(seed, "dynamics/supportive sets")
    random = [int(i) for i in draw.permutation(len(order))[:n]]
    matched = matched_in_norm(order[:n], norm, draw)
    return {"none": [], "supportive": order[:n], "random": random, "norm-matched": matched, "opposed": order[-n:]}


def _train(module: OwnModel, batches: Sequence[TokenBatch], request: SupportiveRequest) -> None:
    draw = np_rng(0, "dynamics/supportive order")

    def source() -> Iterator[TokenBatch]:
        while True:
            order = draw.permutation(len(batches))
            for first in range(0, len(batches), PER_STEP):
                yield joined([batches[n] for n in order[first : first + PER_STEP]])

    train(Run(module, build_optimizers(module, "adamw", lr=request.lr), source(), token_loss, clip=1.0), request.steps)


def _abilities(model: ICLModel, prompts: PromptSet) -> dict[str, tuple[float, float]]:
    """(accuracy, loss of the right label in nats) in both settings."""
    found = {}
    for setting in ("icl", "zs"):
        acts = capture(model, prompts, setting, ())
        right = float(metrics.correct(acts, prompts.labels).double().nanmean())
        found[setting] = (right, float(metrics.label_nll(acts, prompts.labels).double().nanmean()))
    return found


def _dataset(rows: Mapping[int, Mapping[str, Any]]) -> xr.Dataset:
    first = next(iter(rows.values()))
    parts, each = np.array(first["parts"]), list(rows.values())
    names = list(dict.fromkeys(first["parts"]))
    abilities = np.array([[[row["measured"][s][t] for row in each] for t in ("icl", "zs")] for s in SETS])
    share = [
        [[float(np.mean([parts[n] == p for n in row["sets"][s]] or [np.nan])) for row in each] for p in names]
        for s in SETS
    ]
    return xr.Dataset(
        {
            "accuracy": (("set", "setting", "seed"), abilities[..., 0]),
            "nll": (("set", "setting", "seed"), abilities[..., 1]),
            "share": (("set", "parts", "seed"), share),
            "cosine": (("seed", "candidate"), np.stack([row["cosine"] for row in each])),
            "norm": (("seed", "candidate"), np.stack([row["norm"] for row in each])),
        },
        {"set": list(SETS), "setting": ["icl", "zs"], "seed": list(rows), "parts": names, "part": ("candidate", parts)},
    )
