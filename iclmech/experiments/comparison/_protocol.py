"""The protocol of `compare`.

Read it top to bottom: prompts → settings → captures → measures → statistics → dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from iclmech._base import Cells, ModelError, provenance, steps, to_ascii_json
from iclmech.captures import Activations
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task

from ._control import controls_named
from ._cost import work_of
from ._dataset import Extent, gather, gather_queries
from ._examples import example_attention
from ._extra_variables import notes_of
from ._label_specific import measure_labels
from ._learning_rate import choose_rates
from ._measure import Captured, Condition, measure, queries_hash
from ._plan import Plan, plan_of
from ._prompts import other_task, seed_prompts
from ._rate_curve import RateCurve
from ._records import Records
from ._request import CompareRequest
from ._result import Comparison


def run(
    request: CompareRequest, *, progress: bool, model: ICLModel, task: Task, cells: Cells | None = None, **objects: Any
) -> Comparison:
    """Compare as the request says; `objects` are what its "custom:" names stand for, `cells` what was finished before."""
    if isinstance(request.wrong_task, str) and "wrong_task" not in objects:
        from iclmech.tasks import load_task

        objects["wrong_task"] = load_task(request.wrong_task, data=request.wrong_data)
    plan = plan_of(request, task, model.name, objects)
    with steps("compare", work_of(plan).steps, enabled=progress) as step:
        return _compare(model, task, plan, step, cells or Cells())


def _compare(model: ICLModel, task: Task, plan: Plan, step: Callable[[str], None], cells: Cells) -> Comparison:
    records = Records()
    model.require_raw()
    other = other_task(task, plan, records)
    rates, curve = (plan.rates, None) if plan.rates else _rates(model, task, plan, records, step, cells)
    prompts = {seed: seed_prompts(model, task, plan, seed, records) for seed in plan.seeds}
    n_rates = len(rates[next(iter(rates))])
    made: dict[int, dict[str, Any]] = {seed: {} for seed in plan.seeds}
    for variant in plan.variants:
        zero_shot: dict[str, Activations] = {}
        for seed in plan.seeds:
            strict = variant == "trained" and n_rates == 1
            condition = Condition(
                plan, records.part(), model, prompts[seed], variant, other, made[seed], strict, task, cells=cells
            )
            name = f"{variant}, seed {seed}"
            records.take(cells.once(name, partial(_measured, condition, records, rates, zero_shot, step), parts=name))
    step("statistics")
    notes_of(records, plan)
    first = prompts[plan.seeds[0]]
    extent = Extent(plan, n_rates, model.shape.n_layers, model.shape.n_heads)
    means = gather(records, extent, curve, rates, prompts)
    queries = gather_queries(records, extent, first) if plan.request.keep_queries else None
    examples = example_attention(model, first, plan, rates, model.name)
    means.attrs = {
        "n_queries": len(first.queries),
        "provenance": to_ascii_json(_origin(model, task, plan, prompts, records)),
    }
    return Comparison(means, queries, examples)


def _rates(
    model: ICLModel, task: Task, plan: Plan, records: Records, step: Callable[[str], None], cells: Cells
) -> tuple[dict[str, tuple[float, ...]], RateCurve]:
    """The learning rates that the rule chooses, and their curve."""

    def choose() -> dict[str, Any]:
        own = records.part()
        rates, curve = choose_rates(model, task, plan, own, step)
        return {"rates": rates, "curve": vars(curve), "records": records.added(own)}

    found = cells.once("learning rates", choose)
    records.take(found["records"])
    return found["rates"], RateCurve(**found["curve"])


def _measured(
    condition: Condition,
    records: Records,
    rates: dict[str, tuple[float, ...]],
    zero_shot: dict[str, Activations],
    step: Callable[[str], None],
) -> dict[str, Any]:
    """What one seed on one variant of the model adds to the records."""
    plan, variant = condition.plan, condition.variant
    subject = _subject(condition.model, variant, condition.seed, plan, condition.records, step)
    if subject is not None:
        condition = replace(condition, model=subject)
        captured = measure(condition, rates, lambda: _zero_shot(condition, zero_shot), step)
        if plan.request.label_specific and variant == "trained":
            condition.kept("labels", lambda own: _labels(own, captured, rates, step))
    return records.added(condition.records)


def _labels(
    condition: Condition, captured: Captured, rates: dict[str, tuple[float, ...]], step: Callable[[str], None]
) -> None:
    condition.states.setdefault(condition.prompts.hash, captured.icl["attn_out"])
    measure_labels(condition, rates, step)


def _subject(
    model: ICLModel, variant: str, seed: int, plan: Plan, records: Records, step: Callable[[str], None]
) -> ICLModel | None:
    """The model itself, or the one that a control puts in its place, anew for each seed."""
    if variant == "trained":
        return model
    (control,) = controls_named([variant])
    step(f"{variant} model")
    try:
        return control(model, plan.request, seed)
    except ModelError as error:
        if variant in plan.demanded:
            raise
        records.note(f"The {variant} control was not run: {error}")
        return None


def _zero_shot(condition: Condition, kept: dict[str, Activations]) -> Activations:
    """The zero-shot setting; captured once for the trained model, since all seeds have the same queries."""
    key = queries_hash(condition.prompts)
    if condition.variant != "trained":
        return condition.run_scored(condition.prompts, "zs")
    if key not in kept:
        kept.clear()  # label words that change from seed to seed must not pile up
        kept[key] = condition.run_scored(condition.prompts, "zs")
    return kept[key]


def _origin(model: ICLModel, task: Task, plan: Plan, prompts: dict[int, PromptSet], records: Records) -> dict[str, Any]:
    first = prompts[plan.seeds[0]]
    return provenance(
        kind="compare",
        model={
            "name": model.name,
            "hash": model.hash(),
            "backend": model.backend.kind,
            "device": str(model.device),
            "dtype": str(model.dtype).removeprefix("torch."),
            "n_layers": model.shape.n_layers,
            "n_heads": model.shape.n_heads,
            "d_model": model.shape.d_model,
        },
        task={"name": task.name, "hash": task.hash, "label_words": task.label_words, "template": task.template},
        k=first.k,
        k_by_seed=[p.k for p in prompts.values()],
        k_requested=plan.request.k,
        n_queries=len(first.queries),
        prompts=[p.hash for p in prompts.values()],
        dropped=[p.dropped for p in prompts.values()],
        plan=plan.record(),
        notes=records.notes,
    )
