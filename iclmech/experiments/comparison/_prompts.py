"""The prompts of one seed, and the other task that some controls need."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from iclmech._base import ICLMechWarning
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, load_task

from ._control import controls_named
from ._plan import CompareError, Plan


@dataclass
class Notes:
    """What should be told, each sentence once."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> bool:
        """Remember a sentence once; False if it is known."""
        if text in self.notes:
            return False
        self.notes.append(text)
        return True


def seed_prompts(model: ICLModel, task: Task, plan: Plan, seed: int, notes: Notes, **options: Any) -> PromptSet:
    """The prompts of one seed: its own demonstrations, the same queries as every other seed."""
    request = plan.request
    options = {"n_queries": request.n_queries, "separator": plan.separator, "selection": plan.selection, **options}
    with noting(notes):
        prompts = build_prompts(model, task, k=request.k, seed=seed, n_contexts=1, **options)
    return prompts if len(prompts.contexts) == 1 else _behind_one_context(prompts)


def _behind_one_context(prompts: PromptSet) -> PromptSet:
    """Prompts of a selection that chooses the same demonstrations for every query; training queries that are among them fall out.

    Raises:
        CompareError: the demonstrations depend on the query.
    """
    own = [tuple(prompts.contexts[query.context].tokens) for query in prompts.queries]
    ((most, _),) = Counter(own).most_common(1)
    context = prompts.contexts[prompts.queries[own.index(most)].context]
    among = {demonstration.index for demonstration in context.demonstrations}
    if any(q.index not in among for q, tokens in zip(prompts.queries, own, strict=True) if tokens != most):
        raise CompareError(
            f"the selection {prompts.meta['selection']!r} gives every query demonstrations of its own; an update belongs to one set "
            "of them. Pass row numbers or an annotation such as icl.selection.VoteK; icl.compare_selections compares retrievals."
        )
    queries = [query for query, tokens in zip(prompts.queries, own, strict=True) if tokens == most]
    return replace(prompts, contexts=[context], queries=[replace(query, context=0) for query in queries])


def other_task(task: Task, plan: Plan, notes: Notes) -> Task | None:
    """The task of the controls that need another one: the one given, or another shipped one beside a shipped one.

    Raises `CompareError` if such a control was asked for by name and there is no such task.
    """
    needing = [c.name for c in controls_named(plan.controls) if c.needs_task]
    using = needing or "icl:unrelated_text" in plan.controls
    if plan.wrong_task is not None or not using:
        return plan.wrong_task
    if task.name.startswith("mini/"):
        return load_task("mini/sentiment" if "sentiment" not in task.name else "mini/topic")
    needed = [name for name in needing if name in plan.demanded]
    if needed:
        raise CompareError(f"the control {needed[0]!r} needs another task; pass wrong_task=load_task(...).")
    if needing:
        notes.note("The wrong-task controls were not run: no other task was given (wrong_task=load_task(...)).")
    return None


@contextmanager
def noting(notes: Notes) -> Iterator[None]:
    """Make a note of each warning of the package; let each pass once, and all others always."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not issubclass(warning.category, ICLMechWarning) or notes.note(str(warning.message)):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
