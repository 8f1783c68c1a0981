"""Recipes: every hyper-parameter of a training run, in one file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iclmech._base import TaskError
from iclmech.mini import LossWeights, MixtureConfig, WorldConfig

from ._network import NetConfig

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        steps: most optimiser steps; `until` ends the phase earlier once the running accuracy on inferable labels passes it.
        length, tokens: tokens per sequence and per step; `short_share` of the batches have `Recipe.short_length` tokens instead.
        repeat, recall, easy: shares of repeated random sequences, of bare associative recall, and of easy episodes.
        lr, lr_end: factor on both learning rates, interpolated over the phase.
    """

    steps: int
    length: int
    tokens: int = 1024
    until: float = 1.0
    short_share: float = 0.0
    repeat: float = 0.1
    recall: float = 0.05
    easy: float = 0.1
    lr: float = 1.0
    lr_end: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """All of a run: shape, optimiser, curriculum, world and loss weights. `phases` run one after the other."""

    name: str = "full"
    short_length: int = 64
    warmup: int = 100
    lr_muon: float = 0.005
    lr_adam: float = 0.003
    momentum: float = 0.95
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.98
    clip: float = 1.0
    text_sample: float = 0.25
    check_every: int = 500
    dense_every: int = 100
    dense_until: int = 2500
    net: NetConfig = field(default_factory=NetConfig)
    world: WorldConfig = field(default_factory=WorldConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    phases: tuple[Phase, ...] = (Phase(steps=1000, length=64),)

    @property
    def steps(self) -> int:
        """The most steps the run can take."""
        return sum(phase.steps for phase in self.phases)

    def mixture(self, phase: Phase) -> MixtureConfig:
        """What a batch of this phase is made of."""
        return MixtureConfig(phase.repeat, phase.recall, dataclasses.replace(self.world, easy=phase.easy))


def tuples(table: dict[str, Any]) -> dict[str, Any]:
    """Lists as tuples, as frozen dataclasses hold them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def recipe_table(recipe: str | Path, directory: Path) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe, by its name in a directory or by its path, and what stands in it.

    Raises:
        TaskError: no such recipe.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        path = directory / f"{recipe}.toml"
    if not path.is_file():
        known = sorted(file.stem for file in directory.glob("*.toml"))
        raise TaskError(f"recipe {str(recipe)!r} not found; expected one of {known} or a path of a .toml file.")
    return path, tomllib.loads(path.read_text())


def load_recipe(recipe: str | Path | Recipe = "full") -> Recipe:
    """Read a recipe: ``"full"``, ``"quick"``, a path of a TOML file, or a `Recipe` (returned as it is).

    Raises:
        TaskError: no such recipe, or a key that no recipe has.
    """
    if isinstance(recipe, Recipe):
        return recipe
    path, table = recipe_table(recipe, RECIPES)
    try:
        parts = {
            "net": NetConfig(**tuples(table.pop("net", {}))),
            "world": WorldConfig(**tuples(table.pop("world", {}))),
            "loss": LossWeights(**table.pop("loss", {})),
            "phases": tuple(Phase(**phase) for phase in table.pop("phases")),
        }
        return Recipe(**table, **parts)
    except (TypeError, KeyError) as error:
        raise TaskError(f"recipe {path.name}: {error}; see the fields of iclmech.experiments.mini.Recipe.") from error
