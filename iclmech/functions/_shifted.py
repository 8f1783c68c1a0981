"""`out_of_distribution`: a learner and Bayes on prompts that training never showed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from iclmech._base import Claim, Result, track
from iclmech.experiments._estimates import Lead
from iclmech.models import ICLModel

from ._answers import predict
from ._asking import asked, drawn, judged_over_prompts, origin, put, put_lead
from ._curves_request import OUT_OF_DISTRIBUTION, ShiftRequest
from ._distance import distance, error
from ._errors import FunctionError
from ._family import Family
from ._prompts import FunctionPrompts

CHANGES = ("none", "scaled", "weights", "orthogonal", "other_quadrant", "shuffled_y")


class Shifted(Result):
    """`data`: `error` and `error_bayes` (change, prefix); `excess` (change), mean over prefixes of the distance to Bayes, the
    posterior of the *training* distribution; in the units of the family. A change that ends early is NaN behind it."""

    kind = "out-of-distribution"

    def judged(self) -> list[Claim]:
        """Farther from Bayes than where it was trained."""
        changes = map(str, self.data["change"].values[1:])
        leads = [Lead(f"leaves Bayes under {c}", "farther", {"change": c}, "prompts as trained on") for c in changes]
        return judged_over_prompts(self, leads)


def changed(prompts: FunctionPrompts, change: str, seed: int) -> FunctionPrompts:
    """Prompts after a change: "none", "scaled-2" (inputs), "weights-2", "orthogonal", "other_quadrant", "shuffled_y".

    Raises:
        FunctionError: no such change.
    """
    name, _, number = change.partition("-")
    if name == "none":
        return prompts
    if name in ("scaled", "weights") and number:
        return prompts.scaled(**{"x" if name == "scaled" else "weights": float(number)})
    if name in ("orthogonal", "other_quadrant", "shuffled_y"):
        return getattr(prompts, name)(seed)
    raise FunctionError(
        f"got the change {change!r}; expected one of {', '.join(CHANGES)}, scaled and weights with a factor."
    )


def out_of_distribution(
    model: ICLModel | str,
    family: Family | str,
    changes: Sequence[str] = ShiftRequest.changes,
    *,
    n_prompts: int = 128,
    n_examples: int = 12,
    seeds: int | Sequence[int] = 3,
    level: float = 0.95,
    progress: bool = False,
) -> Shifted:
    """Error by number of examples on changed prompts, of a learner and of the posterior of the training distribution.

    Args:
        model, family: the learner and what it was trained on, or the names of both.
        changes: the first is what the others are held against.
        n_prompts, n_examples, seeds: prompts of each seed, pairs in each, seeds.
        level: of the intervals.
        progress: show a bar on standard error.

    Source: Garg et al., arXiv 2208.01066, section 4.
    """
    request, inputs = asked(
        ShiftRequest,
        model,
        family,
        changes=tuple(changes),
        n_prompts=n_prompts,
        n_examples=n_examples,
        seeds=seeds,
        level=level,
    )
    return OUT_OF_DISTRIBUTION.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_shifts(request: ShiftRequest, *, progress: bool, model: ICLModel, family: Family) -> Shifted:
    """Run it as the request says."""
    kept: dict[str, list[np.ndarray]] = {}
    for seed, prompts in zip(
        request.seed_list, track(drawn(family, request), "prompts", enabled=progress), strict=True
    ):
        rows: dict[str, list[torch.Tensor]] = {}
        for change in request.changes:
            now = changed(prompts, change, seed)
            mine, best = predict(model, now), family.bayes(now)
            row = {"error": error(now, mine), "error_bayes": error(now, best), "distance": distance(now, mine, best)}
            for name, value in row.items():
                blank = torch.full((len(prompts), request.n_examples - value.shape[1]), torch.nan, dtype=value.dtype)
                rows.setdefault(name, []).append(torch.cat([value, blank], 1))
        far = torch.stack(rows["distance"], 1)
        both = torch.where(far.isnan(), torch.nan, far - far[:, :1])  # the same prefixes on both sides
        found = {name: torch.stack(values, 1) for name, values in rows.items()}
        found |= {"excess": far.nanmean(-1), "farther": both.nanmean(-1)}
        for name, value in found.items():
            kept.setdefault(name, []).append(value.double().numpy())
    coords = {"change": list(request.changes), "prefix": np.arange(request.n_examples)}
    data = xr.Dataset(coords=coords, attrs={"family_kind": family.kind})
    for name, values in kept.items():
        add = put_lead if name == "farther" else put
        add(data, name, ("change", *(("prefix",) if values[0].ndim == 3 else ())), values, request.level)
    return Shifted(data, provenance=origin(request, model, family))
