"""Which vectors go where: every control, draw, layer and strength of one seed, in one run of variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from iclmech.captures import VariantActivations, capture_variants
from iclmech.captures._variants import Variant
from iclmech.interventions import graft
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet
from iclmech.vectors import AnswerScores, Vector

ALL_LAYERS = -1
"""Stands on the layer axis for a vector that acts in all its layers together."""
MEASURES = ("accuracy", "log_prob")
Place = tuple[int, int]
"""Positions on the axes of layers and of strengths."""


@dataclass(frozen=True)
class Grid:
    """Where vectors are tried: all layers at the usual strength, all strengths at the chosen layer."""

    layers: tuple[int, ...]
    strengths: tuple[float, ...]
    usual: float

    def at(self, layer: int) -> int | None:
        """The layer as `Vector.edits` takes it."""
        return None if layer == ALL_LAYERS else layer

    def places(self, chosen: int) -> list[Place]:
        """What is run for one vector."""
        usual = self.strengths.index(self.usual)
        along = [(n, usual) for n in range(len(self.layers))]
        return along + [(self.layers.index(chosen), s) for s in range(len(self.strengths)) if s != usual]


@dataclass
class SeedNumbers:
    """What one seed brought: `values` [query, layer, strength] and `n_answers` [layer, strength] by measure and (setting, control)."""

    values: dict[tuple[str, str, str], np.ndarray] = field(default_factory=dict)
    n_answers: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def choose(
    model: ICLModel, vector: Vector, held_out: PromptSet, grid: Grid
) -> tuple[int, float, dict[str, list[float]]]:
    """(layer, strength, curve) at which held-out zero-shot queries come out best.

    The greatest accuracy, then the greatest log-probability, then the lowest layer and the weakest strength. The strength is
    chosen only where there is one place on the axis of layers.
    """
    one = len(grid.layers) == 1
    tried = [(n, s) for n in grid.layers for s in (grid.strengths if one else (grid.usual,))]
    acts = capture_variants(model, held_out, [vector.edits(grid.at(n), s) for n, s in tried], "zs")
    found = AnswerScores.of(acts, held_out)
    accuracy, log_probs = (of.nanmean(dim=0).tolist() for of in (found.correct, found.log_probs))
    best = max(range(len(tried)), key=lambda i: (accuracy[i], log_probs[i], -tried[i][0], -abs(tried[i][1])))
    return (*tried[best], {"accuracy": accuracy, "log_prob": log_probs})


def measure_vectors(
    model: ICLModel,
    prompts: PromptSet,
    vectors: dict[str, Sequence[Vector]],
    grid: Grid,
    chosen: int,
    into: SeedNumbers,
) -> None:
    """All controls with all their draws at all places, averaged over draws."""
    places = grid.places(chosen)
    draws = [(control, vector) for control, several in vectors.items() for vector in several]
    variants: list[Variant] = [v.edits(grid.at(grid.layers[n]), grid.strengths[s]) for _, v in draws for n, s in places]
    found = AnswerScores.of(capture_variants(model, prompts, variants, "zs"), prompts)
    for control in vectors:
        mine = [i for i, (name, _) in enumerate(draws) if name == control]
        columns = [[d * len(places) + p for d in mine] for p in range(len(places))]
        _enter(into, "vector", control, found, dict(zip(places, columns, strict=True)), grid)


def measure_settings(
    model: ICLModel, prompts: PromptSet, others: dict[str, Sequence[PromptSet]], grid: Grid, into: SeedNumbers
) -> Tensor:
    """Zero-shot, in context, and behind the demonstrations of controls; the states [query, layer, d_model] in context."""
    icl = capture_variants(model, prompts, [()], "icl", ("resid_post",))
    zs = capture_variants(model, prompts, [()], "zs")
    everywhere = {(n, s): [0] for n in range(len(grid.layers)) for s in range(len(grid.strengths))}
    for setting, acts in (("zs", zs), ("icl", icl)):
        _enter(into, setting, "none", AnswerScores.of(acts, prompts), everywhere, grid)
    for control, several in others.items():
        acts = [capture_variants(model, other, [()], "icl") for other in several]
        columns = {place: list(range(len(acts))) for place in everywhere}
        _enter(into, "icl", control, _joined([AnswerScores.of(a, prompts) for a in acts]), columns, grid)
    return icl["resid_post"][:, 0]


def measure_own(
    model: ICLModel, prompts: PromptSet, states: Tensor, grid: Grid, into: SeedNumbers
) -> VariantActivations:
    """The ceiling: each query's own state in context in the place of its zero-shot one, at every strength the same."""
    every = range(model.shape.n_layers)
    variants = [
        graft({n: states[:, n] for n in (every if layer == ALL_LAYERS else [layer])}, "resid_post", at=-1)
        for layer in grid.layers
    ]
    acts = capture_variants(model, prompts, variants, "zs")
    places = {(n, s): [n] for n in range(len(grid.layers)) for s in range(len(grid.strengths))}
    _enter(into, "vector", "own", AnswerScores.of(acts, prompts), places, grid)
    return acts


def _joined(several: Sequence[AnswerScores]) -> AnswerScores:
    return AnswerScores(*(torch.cat([getattr(s, n) for s in several], 1) for n in ("correct", "log_probs", "answers")))


def _enter(
    into: SeedNumbers, setting: str, control: str, found: AnswerScores, columns: dict[Place, list[int]], grid: Grid
) -> None:
    """Means over the columns (draws) of every place."""
    shape = (len(grid.layers), len(grid.strengths))
    for measure, table in (("accuracy", found.correct), ("log_prob", found.log_probs)):
        values = np.full((len(table), *shape), np.nan)
        for place, mine in columns.items():
            values[(slice(None), *place)] = table[:, mine].mean(dim=1).numpy()
        into.values[measure, setting, control] = values
    counts = np.full(shape, np.nan)
    for place, mine in columns.items():
        counts[place] = float(np.mean([len(found.answers[:, i].unique()) for i in mine]))
    into.n_answers[setting, control] = counts
