"""The walk of one demonstration set: settings are captured, compared, reduced to numbers per query, and dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from iclmech._base import REGISTRIES, ICLMechError, UpdateError, digest
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task

from ._control import Trial
from ._measures import SINGLE
from ._plan import CompareError, Plan
from ._prompts import Notes, seed_prompts

T = TypeVar("T")
Cell = tuple[str, str, int, int | None]
"""(comparison or setting, variant, seed, position on the grid of rates; None where no rate plays a part)."""


@dataclass
class Records(Notes):
    """Numbers per query, by measure and cell; and what should be told."""

    compared: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    single: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    relative_norm: dict[Cell, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One model with one demonstration set: what all its settings share.

    `made` keeps what controls make of the prompts, for all variants of the model and all controls that need the same.
    """

    plan: Plan
    records: Records
    model: ICLModel
    prompts: PromptSet
    variant: str
    other_task: Task | None = None
    made: dict[str, Any] = field(default_factory=dict)
    strict: bool = False  # an update that fails is an error, not a note

    @property
    def seed(self) -> int:
        """The seed of the demonstrations."""
        return self.prompts.seed

    def once(self, what: str, make: Callable[[], T]) -> T:
        """`make()` at the first call, the same thing afterwards."""
        if what not in self.made:
            self.made[what] = make()
        return self.made[what]

    def other_prompts(self) -> PromptSet | None:
        """Prompts of the other task, for the controls that put its demonstrations before these queries."""
        if self.other_task is None:
            return None
        task = self.other_task
        return self.once(
            "other task", lambda: seed_prompts(self.model, task, self.plan, self.seed, self.records, n_queries=1)
        )

    def cell(self, name: str, lr: int | None) -> Cell:
        """Where the numbers of a comparison or setting belong."""
        return (name, self.variant, self.seed, lr)

    def run(self, prompts: PromptSet, setting: Any, sites: tuple[str, ...] | None = None) -> Activations:
        """Capture one setting: the plan's sites unless told otherwise."""
        plan = self.plan
        matched = plan.request.match_positions and setting == "zs"
        return capture(self.model, prompts, setting, sites or plan.sites, plan.position, match_positions=matched)


def measure(
    condition: Condition, rates: dict[str, tuple[float, ...]], zs: Activations, step: Callable[[str], None]
) -> None:
    """All settings and comparisons of one demonstration set on one model, into `condition.records`."""
    plan, variant = condition.plan, condition.variant
    record_setting(condition, "zs", None, zs)
    step("icl")
    icl = condition.run(condition.prompts, "icl")
    record_setting(condition, "icl", None, icl)
    for control in plan.controls_on(variant, "context"):
        context = control(condition)
        if context is not None:
            step(control.name)
            other = condition.run(context, "icl")
            record_setting(condition, control.name, None, other)
            if control.compared:
                record_comparison(condition, control.name, None, zs, icl, other)
    shift: Activations | None = None
    for update in plan.updates:
        for position, lr in enumerate(rates[update]):
            for name, ft in fine_tuned(condition, update, lr, position, step):
                record_setting(condition, f"ft:{name}", position, ft)
                record_comparison(condition, name, position, zs, icl, ft)
                shift = ft if shift is None and name == update else shift
    for control in plan.controls_on(variant, "direction") if shift is not None else ():
        for name, value in control(condition, zs, icl, shift).items():
            condition.records.compared.setdefault(name, {})[condition.cell(control.name, None)] = _numpy(value)


def fine_tuned(
    condition: Condition, update: str, lr: float, position: int, step: Callable[[str], None]
) -> Iterator[tuple[str, Activations]]:
    """The fine-tuned setting under the update itself and under its controls: (name, activations)."""

    def learn(prompts: PromptSet, control: str) -> Any:
        step(f"{update}:{control}")
        return try_update(condition, f"{update}:{control}", update, prompts, lr)

    step(update)
    real = try_update(condition, update, update, condition.prompts, lr)
    trial = Trial(update, lr, real, learn)
    versions: list[tuple[str, Any]] = [(update, real)]
    for control in condition.plan.controls_on(condition.variant, "update"):
        versions.append((f"{update}:{control.name}", control(condition, trial)))
    for name, weights in versions:
        if weights is None:
            continue
        condition.records.relative_norm[condition.cell(name, position)] = weights.relative_norm()
        with weights.applied(condition.model):
            ft = condition.run(condition.prompts, "zs")
        yield name, ft


def try_update(condition: Condition, name: str, update: str, prompts: PromptSet, lr: float) -> Any:
    """The update, or None with a note where it diverges. Raises `UpdateError` if nothing can stand in its place."""
    try:
        return condition.plan.update(update, condition.model, prompts, lr)
    except UpdateError as error:
        if condition.strict and name == update:
            raise
        where = f"({condition.variant}, seed {condition.seed})"
        condition.records.note(f"{name} at learning rate {lr:g} {where} was left out: {error}")
        return None


def record_setting(condition: Condition, name: str, lr: int | None, acts: Activations) -> None:
    """Accuracy and label likelihood of one setting."""
    for measure_name in SINGLE:
        value = REGISTRIES["measure"][measure_name](acts)
        condition.records.single.setdefault(measure_name, {})[condition.cell(name, lr)] = _numpy(value)


def record_comparison(
    condition: Condition, name: str, lr: int | None, zs: Activations, icl: Activations, ft: Activations
) -> None:
    """Every measure of (zs, icl, ft), the user's included."""
    values = {m: REGISTRIES["measure"][m](zs, icl, ft) for m in condition.plan.measures}
    values |= own_measures(condition, name, zs, icl, ft)
    for measure_name, value in values.items():
        condition.records.compared.setdefault(measure_name, {})[condition.cell(name, lr)] = _numpy(value)


def own_measures(
    condition: Condition, name: str, zs: Activations, icl: Activations, ft: Activations
) -> dict[str, np.ndarray]:
    """The user's measures, each checked to be a number or an array with the queries first."""
    values: dict[str, np.ndarray] = {}
    for metric, function in condition.plan.metrics.items():
        try:
            value = _numpy(function(zs, icl, ft))
        except ICLMechError:
            raise
        except Exception as error:
            error.add_note(f"raised by the metric {metric!r} in the comparison {name!r}")
            raise
        if value.ndim and value.shape[0] != len(zs):
            raise CompareError(
                f"the metric {metric!r} gave shape {value.shape} for {len(zs)} queries; expected a number, or an array with "
                "one entry per query along its first axis."
            )
        values[metric] = value
    return values


def _numpy(value: Any) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float32 if array.ndim else np.float64)


def queries_hash(prompts: PromptSet) -> str:
    """What the zero-shot setting depends on besides the model: the queries' tokens and the label words of their contexts."""
    return digest([[q.tokens, prompts.contexts[q.context].label_tokens] for q in prompts.queries])
