"""How much work a comparison is: counted from its plan, and timed on a few of its own tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from iclmech._base import duration
from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task

from . import _label_specific as labels
from ._held_out import DRAWS, EXAMPLES
from ._plan import Plan, plan_of
from ._prompts import seed_prompts
from ._rates import DEFAULT_GRID
from ._request import CompareRequest
from ._untrained_steps import BELOW
from .controls import _matched_update as matched

_CHUNKS = 2
_BATCHED = 0.4
"""What an update costs that is trained together with others (rates, labellings, orders), in single ones."""
_SEARCH = 4
"""Zero-shot passes that a search for matched scales is worth, for each row in it."""


@dataclass(frozen=True)
class Work:
    """Captures of all queries, updates on all demonstrations, models drawn anew; `steps` of the progress bar, at most.

    Attributes:
        zero_shot, in_context: captures.
        updates: by name, how many, in updates on their own (some are trained side by side, which is quicker).
        models: drawn anew.
        searches: for the scales of matched changes.
        steps: at most.
    """

    zero_shot: float
    in_context: int
    updates: dict[str, float]
    models: int
    searches: int
    steps: int


@dataclass(frozen=True)
class Estimate:
    """What a comparison would take, without running it.

    Attributes:
        work: what it does.
        tokens: that go through the model, forwards; a step of an update counts three times.
        seconds: on this machine, from a probe of a few queries and demonstrations; good to a factor of two.
    """

    work: Work
    tokens: int
    seconds: float

    def __str__(self) -> str:
        updates = ", ".join(f"{n:.0f} {name}" for name, n in self.work.updates.items())
        return (
            f"About {duration(self.seconds)} on this machine: at most {self.work.steps} steps, {self.tokens / 1e6:.2g} million "
            f"tokens; {self.work.zero_shot:.0f} zero-shot and {self.work.in_context} in-context captures, {updates} updates, "
            f"{self.work.models} models drawn anew."
        )


def work_of(plan: Plan) -> Work:
    """What a plan does."""
    n = plan.request.n_permutations
    several = {"shuffled_labels": n, "icl:shuffled_labels": n, "matched_update": matched.DRAWS}
    learnt = {"shuffled_labels": n, "wrong_task": 1}
    n_rates = len(next(iter(plan.rates.values()))) if plan.rates else 1
    seeds, methods = len(plan.seeds), len(plan.updates)
    zero_shot, in_context, alone, together, steps, searches = 0.0, 0, 0.0, 0.0, 1, 0
    models = seeds * (len(plan.variants) - 1)
    for variant in plan.variants:
        contexts, changes = (plan.controls_on(variant, place) for place in ("context", "update"))
        behind = 1 + sum(several.get(c.name, 1) for c in contexts)
        after = 1 + sum(several.get(c.name, 1) for c in changes)
        others = [learnt[c.name] for c in changes if c.name in learnt]
        zero_shot += (1 if variant == "trained" else seeds) + seeds * methods * n_rates * after
        in_context += seeds * behind
        alone += seeds * n_rates * (1 + sum(number for number in others if number == 1))
        together += seeds * n_rates * sum(number for number in others if number > 1)
        searches += seeds * methods * n_rates * sum(c.name == "matched_update" for c in changes)
        steps += seeds * ((variant != "trained") + behind + methods * n_rates * (1 + sum(others)))
    if plan.request.label_specific:
        together += seeds * labels.N_UPDATES
        zero_shot += seeds * methods * labels.N_UPDATES
        in_context += seeds * (labels.BASELINE + labels.OUTSIDE)
        steps += seeds * (1 + methods * labels.N_UPDATES)
    if plan.rates is None:
        grid, share = len(DEFAULT_GRID), min(1.0, EXAMPLES / plan.request.n_queries)
        alone += DRAWS * grid * _BATCHED
        zero_shot += share * DRAWS * (1 + methods * grid)
        in_context += DRAWS
        steps += DRAWS + methods * (_CHUNKS * DRAWS + grid)
        if "untrained" in plan.variants:
            alone += DRAWS * (BELOW + 1) * _BATCHED
            zero_shot += share * DRAWS * (1 + methods * (BELOW + 1))
            in_context += DRAWS
            models += DRAWS
            steps += DRAWS * (2 + methods * (BELOW + 2))
    updates = {u: alone + together * (_BATCHED if plan.takes_several(u) else 1) for u in plan.updates}
    return Work(zero_shot, in_context, updates, models, searches, steps)


def estimate(request: CompareRequest, *, model: ICLModel, task: Task, **objects: Any) -> Estimate:
    """Time what a comparison consists of on a few queries and demonstrations, and multiply.

    Raises as the comparison itself would: what cannot run is refused here, too.
    """
    from ._records import Records

    plan = plan_of(request, task, model.name, objects)
    work = work_of(plan)
    prompts = seed_prompts(model, task, plan, plan.seeds[0], Records())
    few = replace(prompts, queries=prompts.queries[: min(8, len(prompts.queries))])
    share = len(prompts.queries) / len(few.queries)
    zero = share * _timed(lambda: capture(model, few, "zs", plan.sites, plan.position))
    behind = share * _timed(lambda: capture(model, few, "icl", plan.sites, plan.position))
    seconds = work.zero_shot * zero + work.in_context * behind
    rows = (2 + matched.DRAWS) * matched.QUERIES / len(prompts.queries)
    seconds += work.searches * _SEARCH * rows * zero
    some = _first(prompts, 4)
    part = len(prompts.demonstrations) / len(some.demonstrations)
    for name, count in work.updates.items():
        lr = plan.rates[name][0] if plan.rates else DEFAULT_GRID[0]
        seconds += count * part * _timed(lambda name=name, lr=lr: plan.update(name, model, some, lr))
    if work.models:
        seconds += work.models * _timed(lambda: model.untrained(plan.seeds[0]), warm=False)
    return Estimate(work, _tokens(work, prompts), seconds)


def _first(prompts: PromptSet, n: int) -> PromptSet:
    (context,) = prompts.contexts
    return prompts.with_contexts([context.with_demonstrations(context.demonstrations[:n])])


def _timed(run: Callable[[], Any], warm: bool = True) -> float:
    """Seconds; of the second time where the first may have checks of its own."""
    if warm:
        run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _tokens(work: Work, prompts: PromptSet) -> int:
    queries = sum(len(q.tokens) for q in prompts.queries)
    taught = sum(len(d.tokens) for d in prompts.demonstrations)
    context = len(prompts.context_tokens)
    return int(
        (work.zero_shot + work.in_context) * queries
        + work.in_context * context
        + 3 * taught * sum(work.updates.values())
    )
