"""What `compare` was asked to do, checked and spelled out before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from iclmech._base import ICLMechError
from iclmech.tasks import DEUTCH2024, Selection, Task
from iclmech.updates import gradient_descent, layer_causal_gd

Update = Callable[..., Any]
"""`update(model, prompts, lr=...)` → `WeightUpdate`."""

Metric = Callable[[Any, Any, Any], Any]
"""`metric(zs, icl, ft)` → a number, or an array [query], [query, layer], [query, layer, head]."""

UPDATES: dict[str, Update] = {
    "gd": gradient_descent,
    "lcgd": layer_causal_gd,
    "lcgd_bottom_up": partial(layer_causal_gd, order="bottom_up"),
}
"""The updates that `compare` knows by name."""

CONTROLS = (
    *("random_direction", "random_update", "untrained", "shuffled_labels", "wrong_task"),
    *("icl:reordered", "icl:shuffled_labels", "icl:unrelated_text", "icl:wrong_task"),
)
"""Controls by name. Those without `icl:` stand in the place of the update, those with it in the place of the context."""

ESSENTIAL = ("random_direction", "random_update", "untrained", "icl:reordered")
"""The controls without which no result should stand; on untrained models only these are run."""

DEFAULT_GRID = tuple(float(f"{10 ** (e / 2):.2g}") for e in range(-8, 1))
"""Learning rates tried by `lr="auto"`: 1e-4 to 1, two per decade."""

SITES = ("attn_out", "attn_scores", "resid_post")
"""What is captured; the last only for the user's own measures."""


class CompareError(ICLMechError, ValueError):
    """`compare` was asked for something that it cannot do."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a comparison runs, besides model and task."""

    k: int
    n_queries: int
    seeds: tuple[int, ...]
    updates: dict[str, Update]
    rates: dict[str, tuple[float, ...]] | None  # None: to be chosen
    controls: tuple[str, ...]
    demanded: tuple[str, ...]  # controls that were asked for by name: impossible ones are errors, not notes
    metrics: dict[str, Metric]
    loss: Literal["label", "all"]
    parameters: Any
    position: Any
    separator: str | None
    selection: Selection
    wrong_task: Task | None
    embeddings: Literal["keep", "fresh"]
    sites: tuple[str, ...]
    match_positions: bool
    direction: Literal["gaussian", "uniform"]
    keep_queries: bool
    n_boot: int
    level: float
    n_examples: int
    preset: str | None
    deviations: list[str] = field(default_factory=list)

    @property
    def variants(self) -> tuple[str, ...]:
        """ "trained", and "untrained" where it is among the controls."""
        return ("trained", "untrained") if "untrained" in self.controls else ("trained",)

    def controls_of(self, variant: str) -> tuple[str, ...]:
        """The controls that are run on the trained or the untrained model."""
        return tuple(c for c in self.controls if variant == "trained" or c in ESSENTIAL)

    def update(self, name: str, model: Any, prompts: Any, lr: float) -> Any:
        """The weight update called `name` on these prompts."""
        return self.updates[name](model, prompts, lr=lr)

    def record(self) -> dict[str, Any]:
        """The plan for the provenance: JSON-serialisable."""
        return {
            **{
                name: getattr(self, name) for name in ("k", "n_queries", "loss", "separator", "selection", "embeddings")
            },
            **{name: getattr(self, name) for name in ("match_positions", "direction", "n_boot", "level", "preset")},
            "seeds": list(self.seeds),
            "updates": list(self.updates),
            "lr": "auto" if self.rates is None else {name: list(r) for name, r in self.rates.items()},
            "controls": list(self.controls),
            "metrics": list(self.metrics),
            "parameters": self.parameters if isinstance(self.parameters, str) else "selector",
            "position": self.position if isinstance(self.position, str) else "function",
            "sites": list(self.sites),
            "wrong_task": self.wrong_task.name if self.wrong_task else None,
            "deviations": self.deviations,
        }


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """n → 0 … n-1; a list of different integers stays."""
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(int(s) for s in seeds)
    if not found or len(set(found)) < len(found):
        raise CompareError(f"got seeds={seeds!r}; expected a number of seeds (at least 1) or a list of different ones.")
    return found


def updates_of(updates: Any, loss: str, parameters: Any) -> dict[str, Update]:
    """Names of `UPDATES`, or {name: function}; what is known by name gets `loss` and `parameters`."""
    given = {updates: None} if isinstance(updates, str) else updates
    found: dict[str, Update] = {}
    for name in given:
        own = given[name] if isinstance(given, Mapping) else None
        if own is None and name not in UPDATES:
            raise CompareError(
                f"got the update {name!r}; expected some of {', '.join(UPDATES)}, or {{name: function(model, prompts, lr=...)}}."
            )
        if (
            not isinstance(name, str)
            or not re.fullmatch(r"[A-Za-z]\w*", name)
            or name in ("icl", "zs", "random_direction")
        ):
            raise CompareError(
                f"got an update called {name!r}; expected a plain name of letters, digits and underscores."
            )
        found[name] = partial(UPDATES[name], loss=loss, parameters=parameters) if own is None else own
    if not found:
        raise CompareError(f"got no updates; expected some of {', '.join(UPDATES)}.")
    return found


def rates_of(lr: Any, updates: Sequence[str]) -> dict[str, tuple[float, ...]] | None:
    """ "auto" → None; a number, a grid, or {update: number or grid} → a grid of the same length for every update."""
    if isinstance(lr, str):
        if lr != "auto":
            raise CompareError(
                f"got lr={lr!r}; expected 'auto', a number, a list of numbers, or {{update: number or list}}."
            )
        return None
    missing = [u for u in updates if isinstance(lr, Mapping) and u not in lr]
    if missing:
        raise CompareError(f"lr names no rate for {', '.join(missing)}; expected one for each of {', '.join(updates)}.")
    grids = {}
    for update in updates:
        grid = tuple(float(r) for r in np.atleast_1d(lr[update] if isinstance(lr, Mapping) else lr))
        if not grid or not all(math.isfinite(r) and r >= 0 for r in grid):
            raise CompareError(f"got the learning rates {list(grid)} for {update}; expected finite numbers ≥ 0.")
        grids[update] = grid
    if len({len(g) for g in grids.values()}) > 1:
        raise CompareError(
            f"got grids of different lengths, { ({u: len(g) for u, g in grids.items()}) }; expected one length."
        )
    return grids


def controls_of(controls: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(those to run, in the order of `CONTROLS`; those asked for by name)."""
    words: dict[str, tuple[str, ...]] = {"all": CONTROLS, "essential": ESSENTIAL, "none": ()}
    if isinstance(controls, str) and controls in words:
        return words[controls], ()
    given = (controls,) if isinstance(controls, str) else tuple(controls)
    for name in given:
        if name not in CONTROLS:
            raise CompareError(
                f"got the control {name!r}; expected 'all', 'essential', 'none' or some of {', '.join(CONTROLS)}."
            )
    return tuple(c for c in CONTROLS if c in given), given


def metrics_of(metrics: Mapping[str, Any] | None, taken: Sequence[str]) -> dict[str, Metric]:
    """The user's measures; their names become variables."""
    for name, function in (metrics or {}).items():
        if not isinstance(name, str) or not name.isidentifier() or name in taken:
            raise CompareError(
                f"got a metric called {name!r}; expected a name like a variable's, none of {', '.join(taken)}."
            )
        if not callable(function):
            raise CompareError(
                f"the metric {name!r} is a {type(function).__name__}; expected a function of (zs, icl, ft)."
            )
    return dict(metrics or {})


def preset_options(
    preset: str | None, task: Task, model_name: str, given: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """(options with the preset's in the place of what was left open, how the run deviates from the published protocol).

    `given` holds loss, position, separator, lr, k and seeds; None and "auto" leave open.
    """
    own = {"loss": "label", "position": "prediction", "separator": None, "lr": "auto", "direction": "gaussian"}
    if preset is None:
        return {key: given.get(key) if given.get(key) is not None else value for key, value in own.items()}, []
    if preset != "deutch2024":
        raise CompareError(f"got preset={preset!r}; expected None or 'deutch2024'.")
    published = {"loss": "all", "position": "label", "separator": DEUTCH2024["separator"], "direction": "uniform"}
    published["lr"] = DEUTCH2024["lr"].get(task.name, "auto")
    deviations = [
        "Demonstrations have one order and one cut in ICL and in the update; in the published runs they differed.",
        "Shifts without length are masked and counted, not averaged.",
        "Queries are drawn at random and are the same for every seed.",
        f"The model is {model_name}; the published one is en_dense_lm_1_3b.",
    ]
    if task.name not in DEUTCH2024["tasks"]:
        deviations.append(f"The task {task.name} is not among the published ones ({', '.join(DEUTCH2024['tasks'])}).")
    if published["lr"] == "auto":
        deviations.append(
            "There is no published learning rate for this task; it is chosen on held-out training examples."
        )
    chosen = dict(published)
    for key, value in given.items():
        if key in published and value is not None and value != "auto" and value != published[key]:
            chosen[key] = value
            deviations.append(f"{key} is {value!r}; published: {published[key]!r}.")
        if key in ("k", "seeds") and value != DEUTCH2024[key]:
            deviations.append(f"{key} is {value!r}; published: {DEUTCH2024[key]!r}.")
    return chosen, deviations
