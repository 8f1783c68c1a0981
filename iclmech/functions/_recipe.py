"""Recipes of learners of functions: every hyper-parameter of a training run, in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iclmech._base import typed
from iclmech.training import GPT2Config, recipe_from

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class FunctionRecipe:
    """A learner: which family it is trained on, its shape and its optimiser.

    Attributes:
        families: what prompts are drawn from, each batch in equal parts: "LinearRegression(d=5, noise=0.5)".
        n_examples: pairs per prompt. Of a family of strings, symbols per prompt.
        batch, steps: prompts per step, steps; every prompt is new.
        lr_muon, lr_adam: rates of Muon (matrices of the blocks) and AdamW (the rest), up to it over `warmup` steps, and
            linearly down to zero over the last share `decay`.
        snapshots: steps after which the weights are kept.
        every: steps between rows of the history and checkpoints.
    """

    name: str
    families: tuple[str, ...]
    n_examples: int = 12
    batch: int = 64
    steps: int = 2000
    lr_muon: float = 0.01
    lr_adam: float = 0.003
    warmup: int = 50
    decay: float = 0.3
    clip: float = 1.0
    every: int = 250
    snapshots: tuple[int, ...] = ()
    net: GPT2Config = field(default_factory=GPT2Config)

    def rate(self, step: int) -> float:
        """The factor on both learning rates at a step.

        >>> recipe = FunctionRecipe("r", ("LinearRegression(d=5)",), steps=100, warmup=10)
        >>> [round(recipe.rate(step), 2) for step in (0, 9, 50, 85, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.03]
        """
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(1.0, (step + 1) / max(1, self.warmup), left)


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package.

    >>> "linear" in list_recipes()
    True
    """
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def recipe_of(recipe: str | Path | FunctionRecipe) -> FunctionRecipe:
    """Read a recipe: its name, a path of a TOML file, or a `FunctionRecipe` (returned as it is).

    Raises:
        TaskError: no such recipe, or a key that no recipe has.
    """
    if isinstance(recipe, FunctionRecipe):
        return recipe
    return recipe_from(recipe, RECIPES, FunctionRecipe, _built)


def _built(name: str, table: dict[str, Any]) -> FunctionRecipe:
    net = typed(GPT2Config, table.pop("net", {}))
    return typed(FunctionRecipe, {"name": name, **table}, net=net)
