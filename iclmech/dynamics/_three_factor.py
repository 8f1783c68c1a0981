"""`three_factor`: a product of three vectors learned by gradient descent, in closed form.

L = ½ mean over the d³ entries of (T* − a⊗b⊗c)², T* = a*⊗b*⊗c*, is ½ (Π|t|² − 2 Π t·p + Π|p|²) / d³: no tensor is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from iclmech._base import Claim, Result, Verdict, np_rng, provenance
from iclmech.experiments import ExperimentError, seeds_of

from ._history import interval
from ._requests import THREE_FACTOR, ThreeFactorRequest

if TYPE_CHECKING:
    import pandas as pd

FACTORS = ("a", "b", "c")
LEARNED = 0.1
"""Share of the first loss at which a run is said to have learned."""
Vectors = Mapping[str, Float[ndarray, "run d"]]


class ThreeFactor(Result):
    """`data`: loss (condition, seed, step); steps_to_tenth (condition, seed): of the run's own first loss without clamps."""

    kind = "three-factor"

    def summary(self) -> pd.DataFrame:
        """Steps to a tenth of the loss: `condition`, `median`, `low`, `high` (95 %, a bootstrap of the mean), `reached`, `runs`."""
        import pandas as pd

        rows = []
        for condition in map(str, self.data["condition"].values):
            times = self.data["steps_to_tenth"].sel(condition=condition).values
            low, high = interval(times)
            median, reached = float(np.median(np.nan_to_num(times, nan=np.inf))), int((~np.isnan(times)).sum())
            rows.append(
                {
                    "condition": condition,
                    "median": median,
                    "low": low,
                    "high": high,
                    "reached": reached,
                    "runs": len(times),
                }
            )
        return pd.DataFrame(rows)

    def judged(self) -> list[Claim]:
        """Whether giving factors makes the rest be learned faster, pair by pair of seeds."""
        times = self.data["steps_to_tenth"].fillna(np.inf)
        none, found = times.sel(condition="none").values, []
        for condition in map(str, self.data["condition"].values[1:]):
            mine = times.sel(condition=condition).values
            faster = mine < none
            share = float(faster.mean())
            verdict: Verdict = "holds" if share >= 0.95 else "does not hold" if share <= 0.5 else "not shown"
            low, high = interval(faster.astype(float))
            rule = f"faster than with none given in at least 95 % of the seeds ({int(faster.sum())} of {len(faster)})"
            found.append(
                Claim(
                    f"With {condition} given the rest is learned faster", share, low, high, "none given", rule, verdict
                )
            )
        return found


def factor_loss(factors: Vectors, target: Vectors) -> Float[ndarray, " run"]:
    """The loss in closed form.

    Args:
        factors, target: a, b and c, one of each per run.

    >>> one = {name: np.ones((1, 2)) for name in "abc"}
    >>> factor_loss(one, one)
    array([0.])
    """
    d = target["a"].shape[-1]
    products = [
        np.prod([(x[n] * y[n]).sum(-1) for n in FACTORS], axis=0)
        for x, y in ((target, target), (target, factors), (factors, factors))
    ]
    return (products[0] - 2 * products[1] + products[2]) / (2 * d**3)


def factor_gradient(factors: Vectors, target: Vectors, name: str) -> Float[ndarray, "run d"]:
    """The gradient of `factor_loss` with respect to one factor."""
    others, d = [n for n in FACTORS if n != name], target["a"].shape[-1]
    own = np.prod([(factors[n] ** 2).sum(-1) for n in others], axis=0)
    along = np.prod([(target[n] * factors[n]).sum(-1) for n in others], axis=0)
    return (own[:, None] * factors[name] - along[:, None] * target[name]) / d**3


def three_factor(
    dim: int = 20,
    clamp: Sequence[str] = ("b", "c"),
    seeds: int | Sequence[int] = 20,
    *,
    steps: int = 1000,
    lr: float = 1.0,
    scale: float = 0.5,
    progress: bool = False,
) -> ThreeFactor:
    """Learn T* = a*⊗b*⊗c* by gradient descent on a, b and c, with none, each and all of `clamp` given. Float64.

    Args:
        dim: length of the vectors.
        clamp: which factors are given.
        seeds: how many runs, or their seeds; all conditions of a seed begin alike.
        lr: rate of gradient descent.
        scale: standard deviation of the vectors at the start (the target's is 1).

    Raises:
        ExperimentError: a factor other than a, b and c.

    Source: the toy model of Singh et al. (arXiv 2404.07129), in closed form and with more than one seed.

    >>> three_factor(dim=6, seeds=2, steps=3).data["loss"].sizes["condition"]
    4
    """
    given = tuple(clamp) if not isinstance(clamp, str) else (clamp,)
    request = ThreeFactorRequest(dim, given, seeds if isinstance(seeds, int) else seeds_of(seeds), steps, lr, scale)
    return THREE_FACTOR.run(request, progress=progress)  # type: ignore[return-value]  # a ThreeFactor


def run(request: ThreeFactorRequest, *, progress: bool) -> ThreeFactor:
    """Descend as the request says."""
    if not set(request.clamp) <= set(FACTORS) or not request.clamp:
        raise ExperimentError(f"got clamp={','.join(request.clamp)}; expected some of {', '.join(FACTORS)}.")
    seeds = seeds_of(request.seeds)
    conditions = {"none": (), **{name: (name,) for name in request.clamp}, " and ".join(request.clamp): request.clamp}
    draws = [np_rng(seed, "dynamics/three factors").standard_normal((2, 3, request.dim)) for seed in seeds]
    target = {name: np.stack([d[0, n] for d in draws]) for n, name in enumerate(FACTORS)}
    start = {name: request.scale * np.stack([d[1, n] for d in draws]) for n, name in enumerate(FACTORS)}
    curves = np.stack([_descent(start, target, mine, request) for mine in conditions.values()])
    below = curves <= LEARNED * curves[0, :, :1]
    times = np.where(below.any(-1), below.argmax(-1).astype(float), np.nan)
    data = xr.Dataset(
        {"loss": (("condition", "seed", "step"), curves), "steps_to_tenth": (("condition", "seed"), times)},
        {"condition": list(conditions), "seed": list(seeds), "step": range(request.steps + 1)},
    )
    return ThreeFactor(
        data, provenance=provenance(dim=request.dim, lr=request.lr, scale=request.scale, seeds=list(seeds))
    )


def _descent(
    start: Vectors, target: Vectors, given: Sequence[str], request: ThreeFactorRequest
) -> Float[ndarray, "run step"]:
    factors = {name: (target if name in given else start)[name].copy() for name in FACTORS}
    losses = [factor_loss(factors, target)]
    for _ in range(request.steps):
        gradients = {name: factor_gradient(factors, target, name) for name in FACTORS if name not in given}
        for name, gradient in gradients.items():
            factors[name] -= request.lr * gradient
        losses.append(factor_loss(factors, target))
    return np.stack(losses, -1)
