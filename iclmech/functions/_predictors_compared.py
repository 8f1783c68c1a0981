"""`compare_predictors`: a learner beside exact predictors, with a second seed of itself as the ceiling.

That answers are near those of k steps of gradient descent is no evidence for gradient descent: stopped early it shrinks,
and so does ridge regression. Both are therefore matched: steps, and λ, are chosen on other prompts to be as near to the
learner as they can, and gradient descent counts only where it is nearer than the ridge that was matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import Claim, Result, track
from iclmech.experiments._estimates import Lead
from iclmech.models import ICLModel

from ._answers import layer_lens, predict
from ._asking import AWAY, asked, drawn, judged_over_prompts, origin, other_seed, put, put_lead
from ._distance import UNITS, distance, error
from ._errors import FunctionError
from ._family import Family
from ._predictors_request import COMPARE_PREDICTORS, PredictorsRequest
from ._prompts import FunctionPrompts
from .predictors import PREDICTORS, applies, predict as predicted

if TYPE_CHECKING:
    import pandas as pd

MATCHED: dict[str, tuple[tuple[str, dict[str, float]], ...]] = {
    "ridge": tuple((f"ridge-{lam}", {}) for lam in (0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0)),
    "gd": tuple((f"gd-{k}", {"eta": eta}) for k in (1, 4, 16, 64, 128, 256) for eta in (0.02, 0.05)),
}
"""Settings from which the one nearest to the learner is taken, for "ridge:matched" and "gd:matched"."""
Setting = tuple[str, dict[str, float]]
_REAL = ("zero", "averaging", "gd-1", "newton-4", "newton-10", "ols", "ridge", "knn-3", "bayes", "dmmse")
_OTHERS = ("zero", "mean_y", "knn-1", "tree", "ngram-1", "ngram-2", "ngram-3", "bayes")


class PredictorComparison(Result):
    """How near a learner is to each predictor.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (..., bound) is the interval of `m` over prompts.
            *(predictor, prefix)*: `error` of the predictor, `spd`, its distance from the learner.
            *(prefix)*: `error_model`, `error_untrained`, `spd_ceiling` (from a second seed of the learner),
            `spd_untrained`. Units by kind of family: squared / d; share of wrong answers and |Δp|; total variation.
            `lens` (predictor, layer): the same distance of what the readout makes of the state after each layer.
            `spd_mean` (predictor): over prefixes; NaN for ols where there is noise, whose expected error is infinite
            around d examples. `setting` (predictor): what was matched (steps, λ).
    """

    kind = "compare-predictors"

    def summary(self) -> pd.DataFrame:
        """One row per predictor, nearest first. Columns: `predictor`, `setting`, `spd`, `low`, `high`, `last_error`."""
        import pandas as pd

        data = self.data
        rows = [
            {
                "predictor": str(name), "setting": str(data["setting"].sel(predictor=name).item()),
                "spd": float(data["spd_mean"].sel(predictor=name)),
                **{b: float(data["spd_mean_ci"].sel(predictor=name, bound=b)) for b in ("low", "high")},
                "last_error": float(data["error"].sel(predictor=name)[-1]),
            }
            for name in data["predictor"].values
        ]  # fmt: skip
        return pd.DataFrame(rows).sort_values("spd", ignore_index=True)

    def judged(self) -> list[Claim]:
        """That it learns, whether it is Bayes, whether it is gradient descent."""
        held = [row for row in _CLAIMS if f"{row[0]}_contrast" in self.data]
        return judged_over_prompts(
            self, [Lead(claim, f"{name}_contrast", {}, control) for name, claim, control in held]
        )

    @property
    def nearest(self) -> str:
        """The predictor nearest to the learner."""
        return str(self.summary()["predictor"][0])

    def answer(self) -> list[str]:
        """Which predictor is nearest, how near that is, and what the claims say."""
        best = self.summary().iloc[0]
        ceiling = float(self.data["spd_ceiling"].mean()) if "spd_ceiling" in self.data else float("nan")
        beside = f", a second seed of the learner {ceiling:.3g}" if np.isfinite(ceiling) else ""
        unit = UNITS[str(self.data.attrs["family_kind"])][0]
        first = f"Nearest to the learner is {best['predictor']}: {best['spd']:.3g} away ({unit}){beside}."
        return [first, *super().answer()]


_CLAIMS = (
    ("learns", "learns in context", "itself without examples, in error"),
    ("untrained", "training made it so", "the untrained model, in distance to Bayes"),
    ("bayes", "is nearer to Bayes than to nearest neighbours", "k nearest neighbours"),
    ("seed", "is nearer to Bayes than to another seed of itself", "a second seed"),
    ("gd", "is nearer to gradient descent than to any ridge", "ridge with the λ nearest to the learner"),
)


def compare_predictors(
    model: ICLModel | str,
    family: Family | str,
    predictors: Sequence[str] = (),
    *,
    n_prompts: int = 256,
    n_examples: int = 12,
    seeds: int | Sequence[int] = 3,
    second: str = "auto",
    untrained: bool = True,
    level: float = 0.95,
    progress: bool = False,
) -> PredictorComparison:
    """Hold a learner's answers against those of exact predictors, prefix by prefix.

    Args:
        model, family: the learner and what it is asked, or the names of both.
        predictors: names as `icl.functions.predictors.predict` takes them; by default those that apply.
        n_prompts, n_examples, seeds: prompts of each seed, pairs in each, and seeds: how many, or which.
        second: a learner of the same recipe and another seed, whose distance is the ceiling; "auto": the shipped one.
        untrained: also the model with weights drawn anew.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `PredictorComparison`.

    Raises:
        FunctionError: the model has another vocabulary than the family, or no such predictor.

    Source: Akyürek et al., arXiv 2211.15661; Garg et al., arXiv 2208.01066. That shrinkage is matched is this project's.
    """
    request, inputs = asked(
        PredictorsRequest, model, family, predictors=tuple(predictors), n_prompts=n_prompts, n_examples=n_examples,
        seeds=seeds, second=second, untrained=untrained, level=level,
    )  # fmt: skip
    return COMPARE_PREDICTORS.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_predictors(
    request: PredictorsRequest, *, progress: bool, model: ICLModel, family: Family
) -> PredictorComparison:
    """Run it as the request says."""
    names = list(request.predictors) or usual_predictors(family)
    unknown = [name for name in names if name.partition("-")[0].partition(":")[0] not in PREDICTORS]
    if unknown:
        raise FunctionError(f"got the predictor {unknown[0]!r}; known are {', '.join(PREDICTORS)}, and ridge:matched.")
    second = other_seed(request.model, request.second)
    fresh = model.untrained(0) if request.untrained else None
    first = family.prompts(request.n_prompts, request.n_examples, request.seed_list[0] + AWAY)
    settings = {name: _matched(name, first, predict(model, first)) for name in names}
    per_seed: list[dict[str, Any]] = []
    for prompts in track(drawn(family, request), "prompts", enabled=progress):
        answers = {name: predicted(setting, prompts, **more) for name, (setting, more) in settings.items()}
        models = {"model": predict(model, prompts)}
        models |= {"second": predict(second, prompts)} if second else {}
        models |= {"untrained": predict(fresh, prompts)} if fresh else {}
        lens = torch.stack([_from(prompts, answers, layer).nanmean(-1) for layer in layer_lens(model, prompts)], 2)
        per_seed.append({**_of_prompts(prompts, answers, models), "lens": lens})
    data = _dataset(per_seed, names, family, request)
    data["setting"] = ("predictor", [_spelled(settings[name]) for name in names])
    more = {"second": second.name if second else None, "notes": _notes(family, names)}
    return PredictorComparison(data, provenance=origin(request, model, family, **more))


def usual_predictors(family: Family) -> list[str]:
    """The predictors that say something about a family; those of infinite classes without a closed form left out."""
    of = (*_REAL, "ridge:matched", "gd:matched") if family.kind == "real" else _OTHERS
    return [name for name in of if applies(name.partition("-")[0].partition(":")[0], family)]


def _matched(name: str, prompts: FunctionPrompts, answers: Tensor) -> Setting:
    """The name with its settings; of "ridge:matched" and "gd:matched" those that come nearest to the answers."""
    base, _, matched = name.partition(":")
    if not matched:
        return name, {}
    far = [float(distance(prompts, predicted(n, prompts, **more), answers).mean()) for n, more in MATCHED[base]]
    return MATCHED[base][int(np.nanargmin(far))]


def _spelled(setting: Setting) -> str:
    name, more = setting
    return ", ".join([name.partition("-")[2], *(f"{key} {value:g}" for key, value in more.items())])


def _notes(family: Family, names: Sequence[str]) -> list[str]:
    if "ols" in names and family.sigma > 0:
        return [
            "Least squares is left out of means over prefixes: with noise its expected error around d examples is infinite."
        ]
    return []


def _from(prompts: FunctionPrompts, answers: dict[str, Tensor], mine: Tensor) -> Tensor:
    """Distance of answers from those of every predictor, [prompt, predictor, prefix]."""
    return torch.stack([distance(prompts, answer, mine) for answer in answers.values()], 1)


def _of_prompts(prompts: FunctionPrompts, answers: dict[str, Tensor], models: dict[str, Tensor]) -> dict[str, Any]:
    """Numbers of one seed, first axis the prompts."""
    mine = models["model"]
    spd = _from(prompts, answers, mine)
    mean = spd.mean(-1)
    if "ols" in answers and prompts.family.sigma > 0:
        mean[:, list(answers).index("ols")] = torch.nan
    found: dict[str, Any] = {
        "error": torch.stack([error(prompts, answer) for answer in answers.values()], 1), "spd": spd, "spd_mean": mean,
        "error_model": error(prompts, mine),
    }  # fmt: skip
    found["learns_contrast"] = found["error_model"][:, 0] - found["error_model"][:, -1]
    at = {name: spd[:, number].mean(-1) for number, name in enumerate(answers)}
    if "second" in models:
        found["spd_ceiling"] = distance(prompts, models["second"], mine)
    if "untrained" in models:
        found["error_untrained"] = error(prompts, models["untrained"])
        found["spd_untrained"] = distance(prompts, models["untrained"], mine)
    if "bayes" in answers:
        if "untrained" in models:
            found["untrained_contrast"] = (
                distance(prompts, models["untrained"], answers["bayes"]).mean(-1) - at["bayes"]
            )
        if "second" in models:
            found["seed_contrast"] = found["spd_ceiling"].mean(-1) - at["bayes"]
        neighbours = [name for name in at if name.startswith("knn")]
        if neighbours:
            found["bayes_contrast"] = at[neighbours[0]] - at["bayes"]
    if {"gd:matched", "ridge:matched"} <= set(at):
        found["gd_contrast"] = at["ridge:matched"] - at["gd:matched"]
    return found


def _dataset(
    per_seed: list[dict[str, Any]], names: Sequence[str], family: Family, request: PredictorsRequest
) -> xr.Dataset:
    coords = {"predictor": list(names), "prefix": np.arange(request.n_examples)}
    data = xr.Dataset(coords=coords, attrs={"family_kind": family.kind})
    for name in per_seed[0]:
        values = np.stack([found[name].double().numpy() for found in per_seed])
        if name.endswith("_contrast"):
            put_lead(data, name, (), list(values), request.level)
            continue
        named = {"spd_mean": ("predictor",), "lens": ("predictor", "layer")}
        dims = named[name] if name in named else {3: ("prefix",), 4: ("predictor", "prefix")}[values.ndim]
        put(data, name, dims, list(values), request.level)
    return data
