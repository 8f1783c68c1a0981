"""`probe`: what of a function's weights a linear probe reads off states, by layer, at one position and at several together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import Claim, Result, by_interval, np_rng
from iclmech.captures import capture
from iclmech.models import ICLModel

from ._errors import FunctionError
from ._family import Family
from ._over_prompts import asked, drawn, origin
from ._prompts import FunctionPrompts
from ._weights_request import PROBE, ProbeRequest
from .predictors import averaging_weights, ridge_weights

TARGETS = ("weights", "ridge weights", "X'y / n", "independent weights")
PLACES = ("last value", "next point", "all together")


class WeightProbe(Result):
    """`data`: `r2` (variant, place, target, layer), held-out R² of ridge probes, mean over the weights; layer 0 is the
    embedding, layer l + 1 the state after block l. `r2_ci` is a bootstrap over held-out prompts."""

    kind = "probe-weights"

    def judged(self) -> list[Claim]:
        """Readable at the best layer of the best place, above both controls."""
        data = self.data["r2"].sel(target="ridge weights")
        best = data.sel(variant="trained").argmax(("place", "layer"))
        at = {axis: int(number) for axis, number in best.items()}
        low, high = (
            float(v) for v in self.data["r2_ci"].sel(target="ridge weights", variant="trained").isel(at).values
        )
        rivals = {
            "independent weights": float(self.data["r2"].sel(target="independent weights", variant="trained").max()),
            "the untrained model": float(data.sel(variant="untrained").max()),
        }
        rule = "the interval of the largest R² lies above the largest R² of the control"
        place, layer = str(data["place"][at["place"]].item()), at["layer"]
        value = float(data.sel(variant="trained").isel(at))
        claim = f"ridge weights can be read linearly ({place}, layer {layer})"
        return [
            Claim(claim, value, low, high, f"{name} ({rival:.2g})", rule, by_interval(low, high, max(rival, 0.0)))
            for name, rival in rivals.items()
        ]


def probe(
    model: ICLModel | str,
    family: Family | str,
    *,
    prefix: int = 10,
    n_prompts: int = 2000,
    n_examples: int = 12,
    penalty: float = 0.01,
    seeds: int | Sequence[int] = 1,
    level: float = 0.95,
    progress: bool = False,
) -> WeightProbe:
    """Fit ridge probes for a function's weights to residual states behind `prefix` pairs.

    Args:
        model, family: a learner and a linear family, or the names of both.
        prefix: pairs seen.
        n_prompts, n_examples: prompts, a quarter of them held out, and pairs in each.
        penalty: of the probe, on standardised states.
        seeds: the first is used.
        level: of the intervals.
        progress: of no effect; the probes have a closed form.

    Returns:
        A `WeightProbe`. The weights themselves are bounded by the posterior: only ridge's could be read perfectly.

    Raises:
        FunctionError: no pairs before the place where states are read.

    Source: Akyürek et al., arXiv 2211.15661, section 5 (theirs is one position, without controls).
    """
    request, inputs = asked(
        ProbeRequest, model, family, prefix=prefix, n_prompts=n_prompts, n_examples=n_examples, penalty=penalty,
        seeds=seeds, level=level,
    )  # fmt: skip
    return PROBE.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_probe(request: ProbeRequest, *, progress: bool, model: ICLModel, family: Family) -> WeightProbe:
    """Run it as the request says."""
    if not 1 <= request.prefix < request.n_examples:
        raise FunctionError(f"got prefix={request.prefix}; expected 1 to {request.n_examples - 1} pairs.")
    prompts = drawn(family, request)[0]
    targets = _targets(prompts, request.prefix)
    found = {
        name: _of_model(one, prompts, targets, request)
        for name, one in (("trained", model), ("untrained", model.untrained(0)))
    }
    values = np.stack([found[name] for name in found])  # [variant, place, target, layer, bound]
    dims = ("variant", "place", "target", "layer")
    coords = {"variant": list(found), "place": list(PLACES), "target": list(TARGETS), "bound": ["low", "high"]}
    data = xr.Dataset({"r2": (dims, values[..., 0]), "r2_ci": ((*dims, "bound"), values[..., 1:])}, coords)
    return WeightProbe(data, provenance=origin(request, model, family, prefix=request.prefix))


def _targets(prompts: FunctionPrompts, n: int) -> list[Float64[Tensor, "prompt d"]]:
    weights = prompts.truth["weights"]
    ridge = ridge_weights(prompts, max(prompts.family.sigma**2, 1e-6))[:, n]
    return [weights, ridge, averaging_weights(prompts)[:, n], weights.roll(1, 0)]


def _of_model(model: ICLModel, prompts: FunctionPrompts, targets: list[Tensor], request: ProbeRequest) -> np.ndarray:
    """(R², low, high) [place, target, layer, 3]."""
    n = request.prefix
    by_kind = []
    for kind in ("queries", "values"):
        first = capture(model, prompts, "icl", ("resid_pre",), kind, layers=[0])["resid_pre"]
        by_kind.append(torch.cat([first, capture(model, prompts, "icl", ("resid_post",), kind)["resid_post"]], 1))
    queries, values = (states.double() for states in by_kind)
    together = torch.cat([values[:, :, :n], queries[:, :, : n + 1]], 2).flatten(2)
    states = (values[:, :, n - 1], queries[:, :, n], together)
    out = [
        [[_r2(place[:, layer], target, request) for layer in range(place.shape[1])] for target in targets]
        for place in states
    ]
    return np.array(out)


def _r2(states: Tensor, target: Tensor, request: ProbeRequest) -> tuple[float, float, float]:
    """Held-out R² of a closed-form ridge probe, and its bootstrap interval."""
    held = len(states) // 4
    mean, std = states[held:].mean(0), states[held:].std(0) + 1e-8
    x, offset = (states - mean) / std, target[held:].mean(0)
    fitted = x[held:]
    gram = fitted.T @ fitted / len(fitted) + request.penalty * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, fitted.T @ (target[held:] - offset) / len(fitted))
    left = (target[:held] - offset - x[:held] @ weights).square().sum(-1).numpy()
    total = (target[:held] - offset).square().sum(-1).numpy()
    rows = np_rng(0, "functions: probe intervals").integers(held, size=(400, held))
    drawn_r2 = 1 - left[rows].sum(1) / total[rows].sum(1)
    tail = (1 - request.level) / 2
    return 1 - left.sum() / total.sum(), float(np.quantile(drawn_r2, tail)), float(np.quantile(drawn_r2, 1 - tail))
