"""`implicit_weights`: the linear function behind a learner's answers, after it is shown that there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import Claim, Result, rng, track
from iclmech.captures import queries_at_prefixes
from iclmech.experiments._estimates import Lead
from iclmech.models import ICLModel

from ._answers import answers_of
from ._asking import asked, drawn, judged_over_prompts, origin, put, put_lead
from ._errors import FunctionError
from ._family import Family
from ._one_task import implied_weights
from ._prompts import FunctionPrompts
from ._vocabulary import embedding_table, long_rows
from ._weights_request import IMPLICIT_WEIGHTS, WeightsRequest
from .predictors import averaging_weights, gd_weights, ols_weights, ridge_weights

_LINEAR = 0.9


@dataclass(frozen=True, eq=False)
class Implied:
    """Weights that answers to fresh points imply, and how much of the answers' squares they explain."""

    weights: Float64[Tensor, "prompt prefix d"]
    linearity: Float64[Tensor, "prompt prefix"]


def implied_by_answers(
    model: ICLModel, prompts: FunctionPrompts, prefixes: Sequence[int], n_points: int = 24, seed: int = 0
) -> Implied:
    """Ask the same fresh points behind every prefix of a prompt, in one masked pass, and fit a linear function to the answers.

    Raises:
        FunctionError: fewer points than 4 d, or a prefix that the prompts do not have.
    """
    if n_points < 4 * prompts.d or not all(0 <= n < prompts.n_examples for n in prefixes):
        raise FunctionError(
            f"got {n_points} points of {prompts.d} dimensions behind prefixes {list(prefixes)}; expected at least 4 d points and "
            f"prefixes of 0 to {prompts.n_examples - 1} pairs."
        )
    table, found = embedding_table(model), long_rows(model, prompts)
    points = torch.randn(len(prompts), n_points, prompts.d, generator=rng(seed, "functions: fresh points")).double()
    at = [found.places["queries"][n] + 1 for n in prefixes]
    answers = []
    for row, asked_of in zip(found.rows, points, strict=True):
        queries = [point[None] for point in asked_of.to(table) @ table[1:-1]]
        whole = torch.cat([table[:1], row])[: max(at)]
        answers.append(queries_at_prefixes(model, whole, queries, at)["logits"].cpu())
    values = answers_of(torch.stack(answers), prompts)  # [prompt, prefix, point]
    return Implied(*implied_weights(points[:, None].expand(-1, len(at), -1, -1), values))


class ImplicitWeights(Result):
    """`data`: `linearity` (variant, prefix), R² of the implied weights; `cosine` and `distance` (squared / d) of the trained
    model's to those of `reference` (ridge, ols, averaging, gd-1, gd-16, another prompt's ridge)."""

    kind = "implicit-weights"

    def judged(self) -> list[Claim]:
        """Linear first, then whose weights."""
        last = {"prefix": int(self.data["prefix"][-1])}
        linear, same = judged_over_prompts(self, [
            Lead(f"answers are a linear function of the point (R² above {_LINEAR})", "linear_lead", last, f"R² of {_LINEAR}"),
            Lead("the function is that of ridge regression", "gain", last, "another prompt's ridge, in cosine"),
        ])  # fmt: skip
        return [linear, same if linear.verdict == "holds" else replace(same, verdict="not applicable")]


def implicit_weights(
    model: ICLModel | str,
    family: Family | str,
    prefixes: Sequence[int] = (2, 5, 10),
    *,
    n_prompts: int = 64,
    n_examples: int = 12,
    n_points: int = 24,
    seeds: int | Sequence[int] = 1,
    level: float = 0.95,
    progress: bool = False,
) -> ImplicitWeights:
    """Which linear function a learner's answers imply behind a prefix.

    Args:
        model, family: a learner and a linear family, or the names of both.
        prefixes: numbers of pairs seen.
        n_prompts, n_examples, seeds: prompts of each seed, pairs in each, seeds.
        n_points: fresh points asked behind every prefix, all in one masked pass.
        level: of the intervals.
        progress: show a bar on standard error.

    Source: Akyürek et al., arXiv 2211.15661, section 4 (implicit linear weight difference).
    """
    request, inputs = asked(
        WeightsRequest, model, family, prefixes=tuple(prefixes), n_prompts=n_prompts, n_examples=n_examples,
        n_points=n_points, seeds=seeds, level=level,
    )  # fmt: skip
    return IMPLICIT_WEIGHTS.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def reference_weights(prompts: FunctionPrompts) -> dict[str, Float64[Tensor, "prompt prefix d"]]:
    """Weights of exact predictors behind every prefix; "another prompt" is the ridge of the next prompt, the control."""
    ridge = ridge_weights(prompts, max(prompts.family.sigma**2, 1e-6))
    return {
        "ridge": ridge, "ols": ols_weights(prompts), "averaging": averaging_weights(prompts),
        "gd-1": gd_weights(prompts, 1, 0.2), "gd-16": gd_weights(prompts, 16, 0.1), "another prompt": ridge.roll(1, 0),
    }  # fmt: skip


def run_weights(request: WeightsRequest, *, progress: bool, model: ICLModel, family: Family) -> ImplicitWeights:
    """Run it as the request says."""
    fresh, kept, at = model.untrained(0), {}, list(request.prefixes)
    for prompts in track(drawn(family, request), "prompts", enabled=progress):
        mine = implied_by_answers(model, prompts, at, request.n_points)
        other = implied_by_answers(fresh, replace(prompts), at, request.n_points)
        theirs = torch.stack([w[:, at] for w in reference_weights(prompts).values()], 1)
        cosine = F.cosine_similarity(mine.weights[:, None], theirs, dim=-1)
        names = list(reference_weights(prompts))
        row = {
            "linearity": torch.stack([mine.linearity, other.linearity], 1), "cosine": cosine,
            "distance": (mine.weights[:, None] - theirs).square().mean(-1),
            "linear_lead": mine.linearity - _LINEAR,
            "gain": cosine[:, names.index("ridge")] - cosine[:, names.index("another prompt")],
        }  # fmt: skip
        for name, value in row.items():
            kept.setdefault(name, []).append(value.double().numpy())
    coords = {"variant": ["trained", "untrained"], "reference": names, "prefix": at}
    data = xr.Dataset(coords=coords)
    for name, values in kept.items():
        if name in ("linear_lead", "gain"):
            put_lead(data, name, ("prefix",), values, request.level)
        else:
            put(data, name, ("variant" if name == "linearity" else "reference", "prefix"), values, request.level)
    return ImplicitWeights(data, provenance=origin(request, model, family))
