"""What every experiment on functions is asked: a model and a family by name, and how many prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iclmech.experiments import Request
from iclmech.experiments._experiment import RESOLVERS
from iclmech.experiments._request import seeds_of


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


def _family(request: Any) -> Any:
    from ._family_names import family_of  # torch is not needed for a request

    return family_of(request.family)


RESOLVERS["family"] = _family
