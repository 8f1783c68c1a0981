"""What every experiment on functions is asked: a model and a family by name, and how many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import provenance
from iclmech.analysis.statistics import clustered_bootstrap
from iclmech.experiments import Request
from iclmech.experiments._experiment import RESOLVERS, Given
from iclmech.experiments._labelled import add_interval
from iclmech.experiments._request import seeds_of
from iclmech.models import ICLModel, list_models, load_model

from ._family import Family
from ._family_names import family_name, family_of
from ._prompts import FunctionPrompts

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class FunctionRequest(Request):
    """A request about one learner of one family."""

    model: str = "fn-linear"
    """A shipped learner (fn-linear, fn-pool8, ...) or a directory that functions.train wrote."""
    family: str = "LinearRegression(d=5, noise=0.5)"
    """A family with its arguments, as written in Python."""
    n_prompts: int = 256
    """Prompts of each seed."""
    n_examples: int = 12
    """Pairs in a prompt."""
    seeds: int | tuple[int, ...] = 3
    """Draws of prompts: how many, or which, separated by commas."""
    level: float = 0.95
    """Level of the intervals."""
    device: str | None = None
    """cpu, cuda, ...; by default a GPU if there is one."""
    dtype: str = "float32"
    """float32 or float64: what the model computes in."""

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds."""
        return seeds_of(self.seeds)


def _family(request: Any) -> Family:
    return family_of(request.family)


RESOLVERS["family"] = _family


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
