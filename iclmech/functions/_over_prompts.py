"""What experiments on functions have in common: objects behind a request, prompts of every seed, means over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import provenance
from iclmech.analysis.statistics import clustered_bootstrap
from iclmech.experiments._experiment import Given
from iclmech.experiments._labelled import add_interval
from iclmech.experiments._request import seeds_of
from iclmech.models import ICLModel, list_models, load_model

from ._family import Family
from ._family_names import family_name
from ._function_request import FunctionRequest
from ._prompts import FunctionPrompts

if TYPE_CHECKING:
    import xarray as xr


def asked(request: type[FunctionRequest], model: Any, family: Any, **values: Any) -> tuple[Any, dict[str, Any]]:
    """A request and the objects behind it, from the arguments of a Python function."""
    given = Given()
    if isinstance(family, Family):
        given.inputs["family"] = family
        family = family_name(family)
    if isinstance(values.get("seeds"), Sequence):
        values["seeds"] = seeds_of(values["seeds"])
    return request(model=given.name("model", model, by="name"), family=family, **values), given.inputs


def drawn(family: Family, request: FunctionRequest, away: int = 0) -> list[FunctionPrompts]:
    """Prompts of every seed. `away`: of other prompts than those that are reported, to choose settings on."""
    return [family.prompts(request.n_prompts, request.n_examples, seed + away) for seed in request.seed_list]


def other_seed(model: str, second: str) -> ICLModel | None:
    """A learner of the same recipe and another seed: the one named, or ("auto") the one that is shipped beside it."""
    name = f"{model}@seed-1" if second == "auto" else second
    return load_model(name) if name and (second != "auto" or name in list_models()) else None


def interval(values: np.ndarray, level: float) -> tuple[float, float, float]:
    """(mean, low, high) of values [seed or task, prompt]; draws of prompts belong to their seed."""
    found = clustered_bootstrap(values, level=level, crossed=False)
    return float(found.mean), float(found.low), float(found.high)


def put(data: xr.Dataset, name: str, dims: tuple[str, ...], values: Sequence[Any], level: float) -> None:
    """Add a mean over seeds and prompts, with its interval, of one tensor [prompt, *dims] for every seed."""
    array = np.stack([np.asarray(value, dtype=float) for value in values])
    add_interval(data, name, dims, array, n_boot=1000, level=level, crossed=False)


def origin(request: FunctionRequest, model: ICLModel, family: Family, **more: Any) -> dict[str, Any]:
    """Where the numbers come from."""
    return provenance(
        model={"name": model.name, "hash": model.hash()}, family=family.about, seeds=list(request.seed_list),
        n_prompts=request.n_prompts, n_examples=request.n_examples, level=request.level, **more,
    )  # fmt: skip
