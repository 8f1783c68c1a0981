"""Numbers of all seeds as labelled arrays with two-way intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from iclmech.analysis.statistics import paired_difference, two_way_interval

from ._trials import MEASURES, Grid, SeedNumbers

SETTINGS = ("zs", "icl", "vector")
CONTROLS = ("none", "random", "random_heads", "wrong_task", "shuffled_labels", "own")
LEADS = {
    "icl - zs": (("icl", "none"), ("zs", "none")),
    "vector - zs": (("vector", "none"), ("zs", "none")),
    "vector - random": (("vector", "none"), ("vector", "random")),
    "vector - random_heads": (("vector", "none"), ("vector", "random_heads")),
    "vector - wrong_task": (("vector", "none"), ("vector", "wrong_task")),
    "vector - shuffled_labels": (("vector", "none"), ("vector", "shuffled_labels")),
    "icl - vector": (("icl", "none"), ("vector", "none")),
    "icl - own": (("icl", "none"), ("vector", "own")),
}
"""Paired differences in accuracy at the chosen layer and strength, where both sides were run."""


@dataclass
class SteeringNumbers:
    """What all seeds brought, in order."""

    seeds: tuple[int, ...]
    found: list[SeedNumbers] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    strengths: list[float] = field(default_factory=list)
    curves: list[dict[str, list[float]]] = field(default_factory=list)
    norms: list[np.ndarray] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    heads: list[list[list[int]]] = field(default_factory=list)

    def add(
        self, found: SeedNumbers, layer: int, strength: float, curve: dict[str, list[float]], norm: np.ndarray
    ) -> None:
        """One seed more."""
        self.found.append(found)
        self.layers.append(layer)
        self.strengths.append(strength)
        self.curves.append(curve)
        self.norms.append(norm)

    def cube(self, measure: str, setting: str, control: str) -> np.ndarray | None:
        """[seed, query, layer, strength], or None where that was not run."""
        key = (measure, setting, control)
        return np.stack([one.values[key] for one in self.found]) if key in self.found[0].values else None

    def at_choice(self, measure: str, setting: str, control: str, grid: Grid) -> np.ndarray | None:
        """[seed, query] at every seed's own layer and strength."""
        cube = self.cube(measure, setting, control)
        if cube is None:
            return None
        places = [
            (grid.layers.index(layer), grid.strengths.index(strength))
            for layer, strength in zip(self.layers, self.strengths, strict=True)
        ]
        return np.stack([cube[n, :, layer, strength] for n, (layer, strength) in enumerate(places)])


def dataset_of(numbers: SteeringNumbers, grid: Grid, level: float) -> xr.Dataset:
    """Everything that a `Steering` holds."""
    controls = [c for c in CONTROLS if any(control == c for _, _, control in numbers.found[0].values)]
    coords = {
        "setting": list(SETTINGS),
        "control": controls,
        "seed": list(numbers.seeds),
        "layer": list(grid.layers),
        "strength": list(grid.strengths),
        "bound": ["low", "high"],
        "contrast": [name for name, sides in LEADS.items() if all(control in controls for _, control in sides)],
    }
    data = xr.Dataset(coords=coords)
    dims = ("setting", "control", "seed", "layer", "strength")
    sizes = tuple(len(coords[d]) for d in dims)
    for measure in MEASURES:
        _enter_measure(data, numbers, grid, measure, level)
    counts = np.full(sizes, np.nan)
    for n, one in enumerate(numbers.found):
        for (setting, control), values in one.n_answers.items():
            counts[SETTINGS.index(setting), controls.index(control), n] = values
    data["n_answers"] = (dims, counts)
    data["chosen_layer"] = (("seed",), np.array(numbers.layers))
    data["chosen_strength"] = (("seed",), np.array(numbers.strengths))
    tried = "strength" if len(grid.layers) == 1 else "layer"
    for name in MEASURES:
        data[f"held_out_{name}"] = (("seed", tried), np.array([curve[name] for curve in numbers.curves]))
    data["relative_norm"] = (("seed", "layer"), np.stack(numbers.norms))
    _enter_leads(data, numbers, grid, level)
    return data


def _enter_measure(data: xr.Dataset, numbers: SteeringNumbers, grid: Grid, measure: str, level: float) -> None:
    """Means and intervals over the whole grid, and at the choice."""
    controls = list(map(str, data["control"].values))
    shape = (len(SETTINGS), len(controls))
    grid_shape = (len(grid.layers), len(grid.strengths))
    means = np.full((*shape, len(numbers.seeds), *grid_shape), np.nan)
    bounds, chosen = np.full((*shape, *grid_shape, 2), np.nan), np.full((*shape, 3), np.nan)
    limits = (0.0, 1.0) if measure == "accuracy" else None
    for i, setting in enumerate(SETTINGS):
        for j, control in enumerate(controls):
            cube = numbers.cube(measure, setting, control)
            if cube is None:
                continue
            share = measure == "accuracy" and bool(np.isin(cube[~np.isnan(cube)], (0.0, 1.0)).all())
            how = {"level": level, "limits": limits, "binary": "share" if share else None}
            found = two_way_interval(cube, **how)
            means[i, j] = cube.mean(axis=1)
            bounds[i, j] = np.stack([found.low, found.high], axis=-1)
            at = two_way_interval(numbers.at_choice(measure, setting, control, grid), **how)  # type: ignore[arg-type]  # there
            chosen[i, j] = [float(at.mean), float(at.low), float(at.high)]
    data[measure] = (("setting", "control", "seed", "layer", "strength"), means)
    data[f"{measure}_ci"] = (("setting", "control", "layer", "strength", "bound"), bounds)
    data[f"{measure}_chosen"] = (("setting", "control"), chosen[..., 0])
    data[f"{measure}_chosen_ci"] = (("setting", "control", "bound"), chosen[..., 1:])


def _enter_leads(data: xr.Dataset, numbers: SteeringNumbers, grid: Grid, level: float) -> None:
    rows = []
    for name in data["contrast"].values:
        a, b = (numbers.at_choice("accuracy", *side, grid) for side in LEADS[str(name)])
        difference = paired_difference(a, b)  # type: ignore[arg-type]  # both are there
        whole = bool(np.isin(difference[~np.isnan(difference)], (-1.0, 0.0, 1.0)).all())
        found = two_way_interval(difference, level=level, limits=(-1.0, 1.0), binary="difference" if whole else None)
        rows.append([float(x) for x in (found.mean, found.low, found.high, found.p, found.claims)])
    table = np.array(rows)
    data["lead"] = (("contrast",), table[:, 0])
    data["lead_ci"] = (("contrast", "bound"), table[:, 1:3])
    data["lead_p"] = (("contrast",), table[:, 3])
    data["lead_claims"] = (("contrast",), table[:, 4].astype(np.int8))
