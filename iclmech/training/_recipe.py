"""Recipes: every hyper-parameter of a training run, in one file."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from iclmech._base import ICLMechError, TaskError, brief, typed
from iclmech.mini import LossWeights, MixtureConfig, WorldConfig

from ._network import NetConfig

T = TypeVar("T")

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


def recipe_from(recipe: str | Path, directory: Path, cls: type[T], build: Callable[[str, dict[str, Any]], T]) -> T:
    """A recipe from its file, by its name in a directory or by its path.

    Args:
        build: (name of the file, what stands in it) → recipe; it may raise `ValueError` and the like.

    Raises:
        TaskError: no such recipe, no TOML, or what `build` cannot use.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        path = directory / f"{recipe}.toml"
    if not path.is_file():
        known = sorted(file.stem for file in directory.glob("*.toml"))
        raise TaskError(f"recipe {str(recipe)!r} not found; expected one of {known} or a path of a .toml file.")
    try:
        return build(path.stem, tomllib.loads(path.read_text("utf-8")))
    except (TypeError, KeyError, ValueError, RecursionError, ICLMechError) as error:
        fields = f"{cls.__module__.rpartition('.')[0]}.{cls.__name__}"
        raise TaskError(f"recipe {path.name}: {brief(error)}; see the fields of {fields}.") from error


def load_recipe(recipe: str | Path | Recipe = "full") -> Recipe:
    """Read a recipe: ``"full"``, ``"quick"``, a path of a TOML file, or a `Recipe` (returned as it is).

    Raises:
        TaskError: no such recipe, a key that no recipe has, or a number that no run can have.
    """
    return recipe if isinstance(recipe, Recipe) else recipe_from(recipe, RECIPES, Recipe, _built)


def _built(name: str, table: dict[str, Any]) -> Recipe:
    parts = {
        "net": typed(NetConfig, table.pop("net", {})),
        "world": typed(WorldConfig, table.pop("world", {})),
        "loss": typed(LossWeights, table.pop("loss", {})),
        "phases": tuple(typed(Phase, phase) for phase in table.pop("phases")),
    }
    made = typed(Recipe, table, **parts)
    _check(made)
    return made


def _check(recipe: Recipe) -> None:
    """Raise `ValueError`, or the net's own error, for numbers that no run can have."""
    net = recipe.net
    sizes = (
        net.n_layers,
        net.d_model,
        net.n_heads,
        net.n_ctx,
        recipe.short_length,
        recipe.check_every,
        recipe.dense_every,
    )
    if min(sizes) < 1 or min(net.mlp_widths, default=0) < 0 or max(net.n_layers, net.d_model, net.n_ctx) > 2**20:
        raise ValueError("sizes and lengths are whole numbers from 1")
    net.check()
    if not recipe.phases or any(p.steps < 1 or p.length < 2 or p.tokens < p.length for p in recipe.phases):
        raise ValueError(
            "a recipe has phases, of at least one step, of sequences of 2 tokens or more, one to a batch at least"
        )
    shares = [recipe.text_sample, recipe.momentum, recipe.beta1, recipe.beta2]
    shares += [share for p in recipe.phases for share in (p.until, p.short_share, p.repeat, p.recall, p.easy)]
    if min(shares) < 0 or max(shares) > 1:
        raise ValueError("shares, momentum and betas lie between 0 and 1")
    positive = [recipe.lr_muon, recipe.lr_adam, recipe.weight_decay, recipe.clip, recipe.warmup, recipe.dense_until]
    positive += [*vars(recipe.loss).values(), *(rate for p in recipe.phases for rate in (p.lr, p.lr_end))]
    if min(positive) < 0:
        raise ValueError("rates and weights are not negative")
