"""`probe`: what of a function's weights a linear probe reads off states, by layer, at one position and at several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from iclmech._base import Claim, Result
from iclmech.captures import capture
from iclmech.experiments._estimates import Lead
from iclmech.models import ICLModel

from ._asking import asked, drawn, judged_over_prompts, origin, put, put_lead
from ._errors import FunctionError
from ._family import Family
from ._linear import LinearInWeights
from ._prompts import FunctionPrompts
from ._weights_request import PROBE, ProbeRequest
from .predictors import averaging_weights, ridge_weights

TARGETS = ("weights", "ridge weights", "X'y / n", "independent weights", "features")
PLACES = ("last value", "next point", "all together")
_IN_WORDS = {
    "nothing": "the mean",
    "independent weights": "weights of another prompt, read likewise",
    "untrained": "the untrained model, read likewise",
}


class WeightProbe(Result):
    """`data`: `r2` (variant, place, target, layer), R² of ridge probes on held-out prompts, mean over what is read; layer 0
    is the embedding, layer l + 1 the state after block l. `read` (control): R² of ridge's weights less the control's, each
    at the place and layer where it was largest on prompts of its own (`chosen`)."""

    kind = "probe-weights"

    def judged(self) -> list[Claim]:
        """Ridge's weights above nothing and above both controls; the place was chosen on other prompts."""
        place, layer = (int(n) for n in self.data["chosen"].values)
        where = f"{self.data['place'][place].item()}, layer {layer}"
        return judged_over_prompts(self, [
            Lead(f"ridge's weights can be read linearly ({where})", "read", {"control": control}, _IN_WORDS[control])
            for control in map(str, self.data["control"].values)
        ], "held-out prompts")  # fmt: skip


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

    The function's weights are what is learned in context; the family's features of a point, read off its own position
    and off that of its value, are what training put into the weights. Both are read side by side.

    Args:
        model, family: a learner and a family linear in its weights, or the names of both.
        prefix: pairs seen.
        n_prompts, n_examples: prompts (half are fitted, a quarter chooses the place, a quarter is reported), pairs in each.
        penalty: of the probe, on standardised states.
        seeds: the first is used.
        level: of the intervals.
        progress: of no effect; the probes have a closed form.

    Returns:
        A `WeightProbe`. The weights themselves are bounded by the posterior: only ridge's could be read perfectly.

    Raises:
        FunctionError: no pairs before the place where states are read, or a family of another kind.

    Source: Akyürek et al., arXiv 2211.15661, section 5 (theirs is one position, without controls); features of points at
    both positions, Guo et al., arXiv 2310.10616; what is in weights beside what is in context, arXiv 2309.06054.
    """
    request, inputs = asked(
        ProbeRequest, model, family, prefix=prefix, n_prompts=n_prompts, n_examples=n_examples, penalty=penalty,
        seeds=seeds, level=level,
    )  # fmt: skip
    return PROBE.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_probe(request: ProbeRequest, *, progress: bool, model: ICLModel, family: Any) -> WeightProbe:
    """Run it as the request says."""
    if not 1 <= request.prefix < request.n_examples:
        raise FunctionError(f"got prefix={request.prefix}; expected 1 to {request.n_examples - 1} pairs.")
    if not isinstance(family, LinearInWeights):
        raise FunctionError(f"got {family.name}; expected a family that is linear in its weights.")
    prompts = drawn(family, request)[0]
    models = {"trained": model, "untrained": model.untrained(0)}
    found = [_of_model(one, prompts, request) for one in models.values()]
    other, held = (
        np.stack([one[part] for one in found], 1) for part in (0, 1)
    )  # [prompt, variant, place, target, layer]
    coords = {
        "variant": list(models), "place": list(PLACES), "target": list(TARGETS), "layer": np.arange(held.shape[-1]),
        "control": list(_IN_WORDS), "axis": ["place", "layer"],
    }  # fmt: skip
    data = xr.Dataset(coords=coords)
    put(data, "r2", ("variant", "place", "target", "layer"), [held], request.level)
    ridge, independent = TARGETS.index("ridge weights"), TARGETS.index("independent weights")
    best = {at: _largest(other[:, at[0], :, at[1]].mean(0)) for at in ((0, ridge), (0, independent), (1, ridge))}
    scores = [held[:, variant, place, target, layer] for (variant, target), (place, layer) in best.items()]
    data["chosen"] = ("axis", list(best[0, ridge]))
    leads = np.stack([scores[0], scores[0] - scores[1], scores[0] - scores[2]], 1)
    put_lead(data, "read", ("control",), [leads], request.level)
    return WeightProbe(data, provenance=origin(request, model, family, prefix=request.prefix))


def _largest(values: np.ndarray) -> tuple[int, int]:
    """Place and layer."""
    place, layer = np.unravel_index(values.argmax(), values.shape)
    return int(place), int(layer)


def _targets(prompts: FunctionPrompts, n: int) -> list[list[Float64[Tensor, "prompt feature"]]]:
    """What is read, by place: of the function, in terms of the family's features; last, the features of a point."""
    features = prompts.family.features(prompts.x, prompts.x)  # type: ignore[attr-defined]  # checked by the caller
    seen, weights = replace(prompts, x=features), prompts.truth["weights"]
    ridge = ridge_weights(seen, max(prompts.family.sigma**2, 1e-6))[:, n]
    function = [weights, ridge, averaging_weights(seen)[:, n], weights.roll(1, 0)]
    return [[*function, features[:, at]] for at in (n - 1, n, n)]


def _of_model(model: ICLModel, prompts: FunctionPrompts, request: ProbeRequest) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the prompts that places are chosen on, and on those that are reported: [prompt, place, target, layer]."""
    n = request.prefix
    by_kind = []
    for kind in ("queries", "values"):
        first = capture(model, prompts, "icl", ("resid_pre",), kind, layers=[0])["resid_pre"]
        by_kind.append(torch.cat([first, capture(model, prompts, "icl", ("resid_post",), kind)["resid_post"]], 1))
    queries, values = (states.double() for states in by_kind)
    together = torch.cat([values[:, :, :n], queries[:, :, : n + 1]], 2).flatten(2)
    states = (values[:, :, n - 1], queries[:, :, n], together)
    out = [
        [[_scores(place[:, layer], target, request) for layer in range(place.shape[1])] for target in targets]
        for place, targets in zip(states, _targets(prompts, n), strict=True)
    ]
    both = np.array(out).transpose(3, 4, 0, 1, 2)  # [part, prompt, place, target, layer]
    return both[0], both[1]


def _scores(states: Tensor, target: Tensor, request: ProbeRequest) -> np.ndarray:
    """1 − squared residual / mean square of a closed-form ridge probe, [part, prompt]; the mean over a part is its R².

    Half of the prompts are fitted; a quarter, the second part, is reported, and another is to choose on.
    """
    part = len(states) // 4
    fitted = slice(2 * part, None)
    mean, std = states[fitted].mean(0), states[fitted].std(0) + 1e-8
    x, offset = (states - mean) / std, target[fitted].mean(0)
    gram = x[fitted].T @ x[fitted] / len(x[fitted]) + request.penalty * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x[fitted].T @ (target[fitted] - offset) / len(x[fitted]))
    left = (target - offset - x @ weights)[: 2 * part].square().sum(-1).view(2, part)
    total = (target - offset)[: 2 * part].square().sum(-1).view(2, part)
    return (1 - left / total.mean(1, keepdim=True)).numpy()
