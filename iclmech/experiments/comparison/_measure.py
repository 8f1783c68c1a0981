"""The walk of one demonstration set: settings are captured, compared, reduced to numbers per query, and dropped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from iclmech._base import REGISTRIES, Cells, ICLMechError, UpdateError, digest
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task

from ._control import EditedContext, Trial
from ._plan import CompareError, Plan
from ._prompts import seed_prompts
from ._records import Cell, Records, mean_over_draws

T = TypeVar("T")


@dataclass(frozen=True)
class Condition:
    """One model with one demonstration set: what all its settings share.

    `cells` holds what was finished before; `made` keeps what controls make of the prompts, for all variants of the model and all controls that need the same;
    `states` the attn_out of contexts of this model that are needed again, by the hash of their prompts.
    """

    plan: Plan
    records: Records
    model: ICLModel
    prompts: PromptSet
    variant: str
    other_task: Task | None = None
    made: dict[str, Any] = field(default_factory=dict)
    strict: bool = False  # an update that fails is an error, not a note
    task: Any = None
    states: dict[str, Tensor] = field(default_factory=dict)
    cells: Cells = field(default_factory=Cells)

    def kept(self, part: str, work: Callable[[Condition], Any]) -> Any:
        """Do a part of the work, or read it where it was done before: its records join ours; what `work` returns is plain."""

        def do() -> dict[str, Any]:
            own = replace(self, records=self.records.part())
            gave = work(own)
            return {"records": self.records.added(own.records), "gave": gave}

        found = self.cells.once(f"{self.variant}, seed {self.seed} / {part}", do)
        self.records.take(found["records"])
        return found["gave"]

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

    def run(
        self, prompts: PromptSet, setting: Any, sites: Sequence[str] | None = None, edits: Sequence[Any] = ()
    ) -> Activations:
        """Capture one setting: the plan's sites unless told otherwise."""
        plan = self.plan
        matched = plan.request.match_positions and setting == "zs"
        given = (self.model, prompts, setting, sites or plan.sites, plan.position)
        return capture(*given, match_positions=matched, interventions=edits)

    def run_scored(self, prompts: PromptSet, setting: Any, edits: Sequence[Any] = ()) -> Activations:
        """Capture one setting; where calibration was asked for, with the prior of the model as it is now in its meta."""
        acts, how = self.run(prompts, setting, edits=edits), self.plan.request.calibrate
        if how is None:
            return acts
        from iclmech.calibration import prior

        asked = prompts if prompts.contexts[0].demonstrations else self.prompts
        texts = [d.text for d in asked.demonstrations]
        found = prior(self.model, prompts, how, setting=setting, texts=texts, interventions=edits)  # type: ignore[arg-type]  # the plan checked it
        return replace(acts, meta={**acts.meta, "prior": found})


@dataclass(frozen=True)
class Captured:
    """The two settings that everything is compared with, captured when they are first needed."""

    condition: Condition
    zero_shot: Callable[[], Activations]
    step: Callable[[str], None]

    @cached_property
    def zs(self) -> Activations:
        """Without demonstrations."""
        return self.zero_shot()

    @cached_property
    def icl(self) -> Activations:
        """Behind them; its states are kept for whoever needs this context again."""
        self.step("icl")
        acts = self.condition.run_scored(self.condition.prompts, "icl")
        self.condition.states[self.condition.prompts.hash] = acts["attn_out"]
        return acts


def measure(
    condition: Condition,
    rates: dict[str, tuple[float, ...]],
    zero_shot: Callable[[], Activations],
    step: Callable[[str], None],
) -> Captured:
    """All settings and comparisons of one demonstration set on one model, into `condition.records`, part by part."""
    plan, captured = condition.plan, Captured(condition, zero_shot, step)
    condition.states.update(condition.kept("contexts", lambda own: _contexts(own, captured)))
    shifted = False
    for update in plan.updates:
        for position, lr in enumerate(rates[update]):
            work = partial(_updates, captured=captured, update=update, lr=lr, position=position, first=not shifted)
            shifted = condition.kept(f"{update}, rate {position}", work) or shifted
    return captured


def _contexts(condition: Condition, captured: Captured) -> dict[str, Tensor]:
    """The settings without an update; states that the label-specific similarity needs again."""
    record_setting(condition, "zs", None, [captured.zs])
    record_setting(condition, "icl", None, [captured.icl])
    for control in condition.plan.controls_on(condition.variant, "context"):
        contexts = _several(control(condition))
        if contexts:
            others = [_context(condition, control.name, context, captured.step) for context in contexts]
            record_setting(condition, control.name, None, others)
            if control.compared:
                draws: Tuned = [(other, ()) for other in others]
                record_comparison(condition, control.name, None, captured.zs, captured.icl, draws)
    wanted = condition.plan.request.label_specific and condition.variant == "trained"
    return dict(condition.states) if wanted else {}


def _updates(condition: Condition, captured: Captured, update: str, lr: float, position: int, first: bool) -> bool:
    """One update at one rate with its controls. Beside the first shift of all, directions in its place; True if it was here."""
    zs, icl, shift = captured.zs, captured.icl, None
    for name, tuned in fine_tuned(condition, update, lr, position, captured.step):
        record_setting(condition, f"ft:{name}", position, [ft for ft, _ in tuned])
        record_comparison(condition, name, position, zs, icl, tuned)
        shift = tuned[0][0] if shift is None and name == update else shift
    if shift is None or not first:
        return False
    for control in condition.plan.controls_on(condition.variant, "direction"):
        for name, value in control(condition, zs, icl, shift).items():
            condition.records.compared.setdefault(name, {})[condition.cell(control.name, None)] = _numpy(value)
    return True


def _several(made: Any) -> list[Any]:
    return list(made) if isinstance(made, list) else [] if made is None else [made]


def _context(
    condition: Condition, name: str, context: PromptSet | EditedContext, step: Callable[[str], None]
) -> Activations:
    step(name)
    if isinstance(context, EditedContext):
        return condition.run_scored(context.prompts, "icl", context.interventions)
    acts = condition.run_scored(context, "icl")
    if condition.plan.request.label_specific:
        condition.states[context.hash] = acts["attn_out"]
    return acts


Tuned = list[tuple[Activations, Sequence[int]]]
"""Of every draw the zero-shot setting under the update, and the layers that are masked."""


def fine_tuned(
    condition: Condition, update: str, lr: float, position: int, step: Callable[[str], None]
) -> Iterator[tuple[str, Tuned]]:
    """The fine-tuned setting under the update itself and under its controls: (name, one or several of it)."""

    def learn(prompts: Sequence[PromptSet], control: str) -> list[Any]:
        name = f"{update}:{control}"
        return [w for w in try_updates(condition, name, update, prompts, lr, lambda: step(name)) if w is not None]

    step(update)
    real = try_update(condition, update, update, condition.prompts, lr)
    trial = Trial(update, lr, position, real, learn)
    controls = [c for c in condition.plan.controls_on(condition.variant, "update") if c.suits(update)]
    versions = [(update, lambda: real), *((f"{update}:{c.name}", partial(c, condition, trial)) for c in controls)]
    for name, make in versions:
        made = [weights for weights in _several(make()) if weights is not None]
        tuned: Tuned = []
        for weights in made:
            with weights.applied(condition.model):
                tuned.append((condition.run_scored(condition.prompts, "zs"), weights.meta.get("unreached", ())))
        if tuned:
            norm = float(np.mean([weights.relative_norm() for weights in made]))
            condition.records.relative_norm[condition.cell(name, position)] = norm
            yield name, tuned


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


def try_updates(
    condition: Condition, name: str, update: str, several: Sequence[PromptSet], lr: float, step: Callable[[], None]
) -> list[Any]:
    """The updates from several prompt sets, side by side where that can be done; None where one diverges."""
    for _ in several:
        step()
    if len(several) > 1 and condition.plan.takes_several(update):
        with contextlib.suppress(UpdateError):  # one of them; which one is seen below
            return condition.plan.update(update, condition.model, list(several), lr)
    return [try_update(condition, name, update, prompts, lr) for prompts in several]


def record_setting(condition: Condition, name: str, lr: int | None, draws: Sequence[Activations]) -> None:
    """Accuracy, label likelihood and the like of one setting, averaged over draws."""
    for measure_name in condition.plan.single:
        value = mean_over_draws([_numpy(REGISTRIES["measure"][measure_name](acts)) for acts in draws])
        condition.records.single.setdefault(measure_name, {})[condition.cell(name, lr)] = value


def record_comparison(
    condition: Condition, name: str, lr: int | None, zs: Activations, icl: Activations, draws: Tuned
) -> None:
    """Every measure of (zs, icl, ft), the user's included, averaged over draws."""
    found: dict[str, list[np.ndarray]] = {}
    for ft, unreached in draws:
        values = {m: _numpy(REGISTRIES["measure"][m](zs, icl, ft)) for m in condition.plan.measures}
        values |= own_measures(condition, name, zs, icl, ft)
        for measure_name, value in values.items():
            if len(unreached) and value.ndim > 1 and value.shape[1] == len(zs["attn_out"][0]):
                value = value.copy()
                value[:, list(unreached)] = np.nan
            found.setdefault(measure_name, []).append(value)
    for measure_name, each in found.items():
        condition.records.compared.setdefault(measure_name, {})[condition.cell(name, lr)] = mean_over_draws(each)


def own_measures(
    condition: Condition, name: str, zs: Activations, icl: Activations, ft: Activations
) -> dict[str, np.ndarray]:
    """The user's measures, each checked to be a number or an array with the queries first."""
    values: dict[str, np.ndarray] = {}
    for metric, function in condition.plan.metrics.items():
        try:
            value = _numpy(function(zs, icl, ft))
        except Exception as error:
            if not isinstance(error, ICLMechError):
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
