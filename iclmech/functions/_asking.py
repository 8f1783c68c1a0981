"""From a request about functions to prompts, and from prompts to numbers with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import Claim, Result, provenance
from iclmech.analysis.statistics import two_way_interval
from iclmech.experiments._estimates import Lead, add_estimate, judge_leads
from iclmech.experiments._experiment import Given
from iclmech.experiments._request import seeds_asked
from iclmech.models import ICLModel, list_models, load_model

from ._family import Family
from ._family_names import family_name
from ._function_request import FunctionRequest
from ._prompts import FunctionPrompts

if TYPE_CHECKING:
    import xarray as xr


AWAY = 7919
"""Added to seeds of prompts on which settings are chosen, which are never those that are reported."""


def asked(request: type[FunctionRequest], model: Any, family: Any, **values: Any) -> tuple[Any, dict[str, Any]]:
    """A request and the objects behind it, from the arguments of a Python function."""
    given = Given()
    if isinstance(family, Family):
        given.inputs["family"] = family
        family = family_name(family)
    if "seeds" in values:
        values["seeds"] = seeds_asked(values["seeds"])
    return request(model=given.name("model", model, by="name"), family=family, **values), given.inputs


def drawn(family: Family, request: FunctionRequest, away: int = 0) -> list[FunctionPrompts]:
    """Prompts of every seed. `away`: of other prompts than those that are reported, to choose settings on."""
    return [family.prompts(request.n_prompts, request.n_examples, seed + away) for seed in request.seed_list]


def other_seed(model: str, second: str) -> ICLModel | None:
    """A learner of the same recipe and another seed: the one named, or ("auto") the one that is shipped beside it."""
    name = f"{model}@seed-1" if second == "auto" else second
    return load_model(name) if name and (second != "auto" or name in list_models()) else None


def put(data: xr.Dataset, name: str, dims: tuple[str, ...], values: Sequence[Any], level: float) -> None:
    """Add a mean over the prompts (or tasks) of all seeds, with its interval: `name` and `name_ci`.

    Every prompt has a function of its own, so prompts are the unit: Student's t over them. What no prompt has below zero
    has no interval below zero.

    Args:
        values: of every seed [prompt, *dims]; NaN is left out.
    """
    rows = _rows(values)
    found = two_way_interval(rows, level, "nested", limits=(0.0, np.inf) if np.nanmin(rows, initial=0.0) >= 0 else None)
    data.coords["bound"] = ["low", "high"]
    data[name] = (dims, found.mean)
    data[f"{name}_ci"] = ((*dims, "bound"), np.stack([found.low, found.high], axis=-1))


def put_lead(data: xr.Dataset, name: str, dims: tuple[str, ...], values: Sequence[Any], level: float) -> None:
    """Add a paired difference that claims rest on, as `put` does, with `name_p` and `name_claims` for `judged_over_prompts`."""
    add_estimate(data, name, dims, _rows(values), level, kind="nested")


def judged_over_prompts(result: Result, leads: Sequence[Lead], unit: str = "prompts") -> list[Claim]:
    """The claims of a result, one family: Holm's correction for their number."""
    level = float(result.provenance.get("level", 0.95))
    return judge_leads(result.data, leads, level, f"paired difference, Student's t over {unit}")


def _rows(values: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(value, dtype=float) for value in values])[:, None]


def origin(request: FunctionRequest, model: ICLModel, family: Family, **more: Any) -> dict[str, Any]:
    """Where the numbers come from."""
    return provenance(
        model={"name": model.name, "hash": model.hash()}, family=family.about, seeds=list(request.seed_list),
        n_prompts=request.n_prompts, n_examples=request.n_examples, level=request.level, **more,
    )  # fmt: skip
