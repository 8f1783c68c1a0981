"""`regret`: cumulative log-loss of a learner, of another seed and of Bayes, above that of who knows the function."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import Claim, Result, Verdict, track
from iclmech.experiments._estimates import Lead
from iclmech.models import ICLModel

from ._answers import predict
from ._asking import asked, drawn, judged_over_prompts, origin, other_seed, put, put_lead
from ._curves_request import REGRET, RegretRequest
from ._errors import FunctionError
from ._family import Family
from ._prompts import FunctionPrompts


class Regret(Result):
    """`data`: `regret` (who, prefix), nats summed up to and with the answer behind that prefix, above the loss of the function
    itself. A learner that gives a number is read as the Gaussian around it with the family's σ. `log_pool`, log M, where
    the family is a pool of M: the posterior's regret never exceeds it."""

    kind = "regret"

    def judged(self) -> list[Claim]:
        """Against Bayes; and Bayes against its bound, where there is one, which is no matter of chance."""
        d, nothing = self.data, float("nan")
        found = judged_over_prompts(self, [Lead("loses more than Bayes", "above_bayes", {}, "the posterior mean")])
        if np.isfinite(float(d["log_pool"])):
            worst, most = float(d["worst"]), float(d["log_pool"])
            verdict: Verdict = "holds" if worst <= most + 1e-9 else "does not hold"
            text = "the posterior's regret is at most log M"
            found.append(Claim(text, worst, nothing, nothing, "log M", f"≤ {most:.3f}", verdict))
        return found


def regret(
    model: ICLModel | str,
    family: Family | str,
    *,
    n_prompts: int = 256,
    n_examples: int = 12,
    seeds: int | Sequence[int] = 3,
    second: str = "auto",
    level: float = 0.95,
    progress: bool = False,
) -> Regret:
    """How many nats a learner loses, answer by answer, against who knows the function.

    Args:
        model, family: the learner and a family of real values with noise, linear in its weights; or the names of both.
        n_prompts, n_examples, seeds: prompts of each seed, pairs in each, seeds.
        second: a learner of the same recipe and another seed.
        level: of the intervals.
        progress: show a bar on standard error.

    Raises:
        FunctionError: a family without noise, or whose answers are not numbers.

    Source: Zhang et al., arXiv 2305.19420 (regret of Bayesian model averaging).
    """
    request, inputs = asked(
        RegretRequest,
        model,
        family,
        n_prompts=n_prompts,
        n_examples=n_examples,
        seeds=seeds,
        second=second,
        level=level,
    )
    return REGRET.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def log_loss(y: Tensor, mean: Tensor, variance: Tensor | float) -> Float64[Tensor, "prompt prefix"]:
    """−log N(y; mean, variance) in nats.

    >>> y = torch.zeros(1, 1, dtype=torch.float64)
    >>> round(float(log_loss(y, y, 1.0)), 4)
    0.9189
    """
    spread = torch.as_tensor(variance, dtype=torch.float64)
    return ((y - mean).square() / spread + (2 * math.pi * spread).log()) / 2


def run_regret(request: RegretRequest, *, progress: bool, model: ICLModel, family: Family) -> Regret:
    """Run it as the request says."""
    if family.kind != "real" or not family.sigma > 0 or not hasattr(family, "posterior"):
        raise FunctionError(f"got {family!r}; expected a family of real values with noise, linear in its weights.")
    second = other_seed(request.model, request.second)
    models = {"learner": model} | ({"second seed": second} if second else {})
    kept: dict[str, list[np.ndarray]] = {}
    worst, pool = -math.inf, getattr(family, "n_tasks", None)
    for prompts in track(drawn(family, request), "prompts", enabled=progress):
        rows = _rows(prompts, models)
        worst = max(worst, float(rows["posterior"][:, -1].max()))
        found = {
            "regret": torch.stack(list(rows.values()), 1),
            "above_bayes": rows["learner"][:, -1] - rows["Bayes' mean"][:, -1],
        }
        for name, value in found.items():
            kept.setdefault(name, []).append(value.numpy())
    coords = {"who": list(rows), "prefix": np.arange(request.n_examples)}
    data = xr.Dataset(coords=coords)
    put(data, "regret", ("who", "prefix"), kept["regret"], request.level)
    put_lead(data, "above_bayes", (), kept["above_bayes"], request.level)
    data["worst"], data["log_pool"] = ((), worst), ((), math.log(pool) if pool else math.nan)
    return Regret(data, provenance=origin(request, model, family))


def _rows(prompts: FunctionPrompts, models: dict[str, ICLModel]) -> dict[str, Tensor]:
    """Cumulative regret [prompt, prefix] of each."""
    noise = prompts.family.sigma**2
    truth = log_loss(prompts.y, prompts.clean, noise)
    found = {name: log_loss(prompts.y, predict(one, prompts), noise) for name, one in models.items()}
    found["Bayes' mean"] = log_loss(prompts.y, prompts.family.bayes(prompts), noise)
    found["posterior"] = -prompts.family.posterior(prompts).log_evidence  # type: ignore[attr-defined]  # checked
    return {name: (loss - truth).cumsum(1) for name, loss in found.items()}
