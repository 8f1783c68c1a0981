"""What `compare` was asked to do, checked and spelled out before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from iclmech._base import REGISTRIES
from iclmech.tasks import DEUTCH2024, Selection, Task

from .._request import CUSTOM, ExperimentError, seeds_of
from ._control import controls_named, kind_of
from ._measures import COMPARED, SINGLE
from ._request import CompareRequest
from ._roster import Roster

Update = Callable[..., Any]
"""`update(model, prompts, lr=...)` → `WeightUpdate`."""

Metric = Callable[[Any, Any, Any], Any]
"""`metric(zs, icl, ft)` → a number, or an array [query], [query, layer], [query, layer, head]."""


def rate_at(thirds: int) -> float:
    """A learning rate by thirds of a decade: 10 ** (thirds / 3), two digits of it.

    >>> rate_at(-4)
    0.046
    """
    return float(f"{10 ** (thirds / 3):.2g}")


DEFAULT_GRID = tuple(map(rate_at, range(-12, 1)))
"""Learning rates tried by `lr="auto"`: 1e-4 to 1, three per decade."""

SITES = ("attn_out", "attn_scores", "resid_post")
"""What is captured; the last only for the user's own measures."""


class CompareError(ExperimentError):
    """`compare` was asked for something that it cannot do."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a comparison runs, besides model and task."""

    request: CompareRequest
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
    sites: tuple[str, ...]
    direction: Literal["gaussian", "uniform"]
    measures: tuple[str, ...] = COMPARED
    deviations: list[str] = field(default_factory=list)

    @cached_property
    def roster(self) -> Roster:
        """What the comparison will hold."""
        return Roster.of(list(self.updates), self.controls, self.variants)

    @property
    def variants(self) -> tuple[str, ...]:
        """ "trained", and the names of the controls that are other models."""
        return ("trained", *(c.name for c in controls_named(self.controls) if c.place == "model"))

    def controls_on(self, variant: str, place: str) -> list[Any]:
        """The controls in one place that are run on the trained or another model."""
        found = [c for c in self.roster.standing(place) if variant == "trained" or c.essential]
        return [c for c in found if place != "update" or any(c.suits(update) for update in self.updates)]

    def update(self, name: str, model: Any, prompts: Any, lr: float | Sequence[float]) -> Any:
        """The weight update called `name` on these prompts; a list for a list of rates, where the method takes one."""
        return self.updates[name](model, prompts, lr=lr)

    def takes_several(self, name: str) -> bool:
        """Whether the update called `name` may be given a list of prompt sets, which it learns from side by side."""
        return bool(getattr(getattr(self.updates[name], "func", None), "fast", False))

    @property
    def single(self) -> tuple[str, ...]:
        """Measures of one setting."""
        return (*SINGLE, "accuracy_calibrated") if self.request.calibrate else SINGLE

    def record(self) -> dict[str, Any]:
        """The plan for the provenance: JSON-serialisable."""
        names = (
            *("k", "n_queries", "selection", "embeddings", "match_positions", "n_boot", "level", "preset"),
            *("n_permutations", "calibrate", "label_specific"),
        )
        return {
            **{name: getattr(self.request, name) for name in names},
            **{name: getattr(self, name) for name in ("loss", "separator", "direction")},
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


def plan_of(request: CompareRequest, task: Task, model_name: str, objects: Mapping[str, Any]) -> Plan:
    """The plan of a request and the objects behind it.

    Raises:
        CompareError: arguments that make no sense.
    """
    given = {name: getattr(request, name) for name in ("loss", "position", "separator", "lr", "k")}
    seeds = seeds_of(request.seeds)
    options, deviations = preset_options(request.preset, task, model_name, {**given, "seeds": len(seeds)})
    controls, demanded = controls_of(request.controls)
    parameters = objects.get("parameters", request.parameters)
    updates = updates_of(request.updates, options["loss"], parameters, objects.get("updates", {}))
    if request.k < 1:
        raise CompareError(f"got k={request.k}; expected at least one demonstration to learn from.")
    if request.n_permutations < 1:
        raise CompareError(f"got n_permutations={request.n_permutations}; expected at least 1.")
    if request.calibrate not in (None, "dc", "cc", "bc"):
        raise CompareError(f"got calibrate={request.calibrate!r}; expected 'dc', 'cc', 'bc' or None.")
    rates = rates_of(options["lr"], list(updates))
    if request.label_specific and rates is not None and len(next(iter(rates.values()))) > 1:
        raise CompareError("got label_specific=True with a grid of learning rates; expected one rate for each update.")
    vectors = ", ".join(name for name in updates if kind_of(name) == "vector")
    if request.label_specific and vectors:
        raise CompareError(f"got label_specific=True with {vectors}; expected weight updates alone.")
    metrics = metrics_of(
        request.metrics,
        objects.get("metrics", {}),
        (*COMPARED, *SINGLE, "relative_norm", "accuracy_calibrated", "sim_aou_labels"),
    )
    sites = request.sites or (SITES if metrics else SITES[:2])
    if missing := [site for site in SITES[:2] if site not in sites]:
        raise CompareError(f"got sites={tuple(sites)}; expected {' and '.join(missing)} among them.")
    return Plan(
        request, seeds, updates, rates, controls, demanded, metrics,
        loss=options["loss"], parameters=parameters, position=objects.get("position", options["position"]),
        separator=options["separator"], selection=objects.get("selection", request.selection),
        wrong_task=objects.get("wrong_task"), sites=tuple(sites), direction=options["direction"], deviations=deviations,
    )  # fmt: skip


def bare(name: str) -> str:
    """The name of an entry such as "mine=custom:…"."""
    return name.partition(f"={CUSTOM}")[0]


def updates_of(names: Sequence[str], loss: str, parameters: Any, own: Mapping[str, Any]) -> dict[str, Update]:
    """Registered updates with `loss` and `parameters`, and one's own by their names."""
    known = REGISTRIES["update"]
    found: dict[str, Update] = {}
    for name in map(bare, names):
        if name not in own and name not in known:
            raise CompareError(
                f"got the update {name!r}; expected some of {', '.join(known)}, or {{name: function(model, prompts, lr=...)}}."
            )
        if not re.fullmatch(r"[A-Za-z]\w*", str(name)) or name in ("icl", "zs", *REGISTRIES["control"]):
            raise CompareError(
                f"got an update called {name!r}; expected a plain name of letters, digits and underscores."
            )
        found[name] = own[name] if name in own else partial(known[name], loss=loss, parameters=parameters)
    if not found:
        raise CompareError(f"got no updates; expected some of {', '.join(known)}.")
    return found


def spell_rates(lr: Any) -> Any:
    """{update: number or grid} as a text, "gd=0.01/0.1,lcgd=0.3/1"; anything else as it is."""
    if isinstance(lr, Mapping):
        return ",".join(f"{u}={'/'.join(f'{r:.12g}' for r in np.atleast_1d(grid))}" for u, grid in lr.items())
    return float(lr) if isinstance(lr, int) else tuple(float(r) for r in lr) if isinstance(lr, list | tuple) else lr


def _read_rates(text: str) -> dict[str, tuple[float, ...]]:
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {update.strip(): tuple(float(r) for r in grid.split("/")) for update, grid in pairs}
    except ValueError:
        raise CompareError(
            f"got lr={text!r}; expected auto, a number, numbers separated by commas, or gd=0.01/0.1,lcgd=0.03/0.3."
        ) from None


def rates_of(lr: Any, updates: Sequence[str]) -> dict[str, tuple[float, ...]] | None:
    """ "auto" → None; a number, a grid, or rates by update → a grid of the same length for every update."""
    if lr == "auto":
        return None
    by_update = _read_rates(lr) if isinstance(lr, str) else lr
    by_update = _with_strengths(by_update, updates)
    missing = [u for u in updates if isinstance(by_update, Mapping) and u not in by_update]
    if missing:
        raise CompareError(f"lr names no rate for {', '.join(missing)}; expected one for each of {', '.join(updates)}.")
    grids = {}
    for update in updates:
        grid = tuple(
            float(r) for r in np.atleast_1d(by_update[update] if isinstance(by_update, Mapping) else by_update)
        )
        if not grid or not all(math.isfinite(r) and r >= 0 for r in grid):
            raise CompareError(f"got the learning rates {list(grid)} for {update}; expected finite numbers ≥ 0.")
        grids[update] = grid
    if len({len(g) for g in grids.values()}) > 1:
        raise CompareError(
            f"got grids of different lengths, { ({u: len(g) for u, g in grids.items()}) }; expected one length."
        )
    return grids


def _with_strengths(lr: Any, updates: Sequence[str]) -> Any:
    """Rates by update, where vectors are among them: their strength is 1 unless they are named."""
    vectors = [u for u in updates if kind_of(u) == "vector"]
    if not vectors:
        return lr
    named = dict(lr) if isinstance(lr, Mapping) else {u: lr for u in updates if u not in vectors}
    n = max((len(np.atleast_1d(grid)) for grid in named.values()), default=1)
    return {**{u: [1.0] * n for u in vectors}, **named}


def controls_of(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(those to run, in the order of registration; those asked for by name)."""
    every = controls_named()
    words = {"all": [c for c in every if not c.by_name], "essential": [c for c in every if c.essential], "none": []}
    if len(names) == 1 and names[0] in words:
        return tuple(c.name for c in words[names[0]]), ()
    known = [c.name for c in every]
    for name in names:
        if name not in known:
            raise CompareError(f"got the control {name!r}; expected {', '.join((*words, *known))}.")
    return tuple(c for c in known if c in names), tuple(names)


def metrics_of(names: Sequence[str], own: Mapping[str, Any], taken: Sequence[str]) -> dict[str, Metric]:
    """Registered measures and the user's own; their names become variables."""
    found: dict[str, Metric] = {}
    for name in map(bare, names):
        function = own[name] if name in own else REGISTRIES["measure"][name]
        if not isinstance(name, str) or not name.isidentifier() or name in taken:
            raise CompareError(
                f"got a metric called {name!r}; expected a name like a variable's, none of {', '.join(taken)}."
            )
        if not callable(function):
            raise CompareError(
                f"the metric {name!r} is a {type(function).__name__}; expected a function of (zs, icl, ft)."
            )
        found[name] = function
    return found


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
