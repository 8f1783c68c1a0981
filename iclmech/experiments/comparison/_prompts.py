"""The prompts of one seed, and the same with other contexts as controls."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iclmech._base import ICLMechWarning
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, load_task

from ._measure import Records
from ._plan import CompareError, Plan


def seed_prompts(model: ICLModel, task: Task, plan: Plan, seed: int, records: Records, **options: Any) -> PromptSet:
    """The prompts of one seed: its own demonstrations, the same queries as every other seed."""
    options = {"n_queries": plan.n_queries, "separator": plan.separator, "selection": plan.selection, **options}
    with noting(records):
        prompts = build_prompts(model, task, k=plan.k, seed=seed, n_contexts=1, **options)
    return prompts


def control_prompts(
    model: ICLModel, prompts: PromptSet, other: Task | None, plan: Plan, records: Records
) -> dict[str, PromptSet]:
    """Prompt sets with the same queries and another context, by the name of the control."""
    controls, seed = plan.controls, prompts.seed
    made: dict[str, PromptSet] = {}
    if "icl:reordered" in controls:
        made["icl:reordered"] = prompts.reordered(seed)
    if {"shuffled_labels", "icl:shuffled_labels"} & set(controls):
        made["shuffled_labels"] = made["icl:shuffled_labels"] = prompts.with_shuffled_labels(seed)
    wrong = None
    if other is not None and {"wrong_task", "icl:wrong_task", "icl:unrelated_text"} & set(controls):
        wrong = seed_prompts(model, other, plan, seed, records, n_queries=1)
        made["wrong_task"] = made["icl:wrong_task"] = prompts.with_demonstrations_of(wrong)
    if "icl:unrelated_text" in controls:
        made["icl:unrelated_text"] = prompts.with_unrelated_text(seed, source=wrong)
    return made


def other_task(task: Task, plan: Plan, records: Records) -> Task | None:
    """The task of the control "wrong_task": the one given, or another shipped one beside a shipped one.

    Raises `CompareError` if that control was asked for by name and there is no such task.
    """
    if plan.wrong_task is not None or not {"wrong_task", "icl:wrong_task", "icl:unrelated_text"} & set(plan.controls):
        return plan.wrong_task
    if task.name.startswith("mini/"):
        return load_task("mini/sentiment" if "sentiment" not in task.name else "mini/topic")
    needed = [c for c in ("wrong_task", "icl:wrong_task") if c in plan.demanded]
    if needed:
        raise CompareError(f"the control {needed[0]!r} needs another task; pass wrong_task=load_task(...).")
    if "wrong_task" in plan.controls:
        records.note("The wrong-task controls were not run: no other task was given (wrong_task=load_task(...)).")
    return None


@contextmanager
def noting(records: Records) -> Iterator[None]:
    """Make a note of each warning of the package; let each pass once, and all others always."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not issubclass(warning.category, ICLMechWarning) or records.note(str(warning.message)):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
