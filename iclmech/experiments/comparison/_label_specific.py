"""What the right labels add to the similarity of context and update: labellings and orders of one demonstration set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from iclmech._base import np_rng
from iclmech.analysis import metrics
from iclmech.tasks import PromptSet

from ._measure import Condition, try_updates

BASELINE, OUTSIDE, ORDERS = 4, 2, 2
"""Labellings in each baseline, labellings outside both, and orders that the update takes the demonstrations in."""
N_UPDATES = (1 + BASELINE + OUTSIDE) * (ORDERS + 1)
"""Updates for each update and seed: in every order, and in the prompt's own."""


def measure_labels(condition: Condition, rates: dict[str, tuple[float, ...]], step: Callable[[str], None]) -> None:
    """The label-specific similarity of every update with one demonstration set, into `condition.records`."""
    made = condition.prompts.label_permutations(condition.seed, BASELINE, OUTSIDE)
    labellings = [condition.prompts, *made.context, *made.update, *made.outside]
    n = len(labellings)
    a, b = range(1, 1 + BASELINE), range(1 + BASELINE, 1 + 2 * BASELINE)
    others = range(1 + 2 * BASELINE, n)
    kept = torch.tensor([1.0, *(float(p.meta["share_kept"][0]) for p in labellings[1:])])
    step("labellings in context")
    icl = _stacked([_behind(condition, p) if i not in b else None for i, p in enumerate(labellings)])
    for update in condition.plan.updates:
        lr = rates[update][0]
        by_order = _after(condition, update, lr, [p for i, p in enumerate(labellings) if i not in a], step)
        if by_order is None:
            continue  # one diverged, with a note
        *orders, own = (_stacked(_spread(row, n, a)) for row in by_order)
        found = metrics.sim_aou_labels(
            icl, torch.stack(orders, dim=1), baseline_icl=a, baseline_ft=b, others=others, kept=kept, same_order=own
        )
        arms = {name: getattr(found, name).numpy() for name in ("delta", "right", "crossed", "matched")}
        if found.same_order is not None:
            arms["same_order"] = found.same_order.numpy()
        arms["share_kept"] = np.array(float(kept[1:].mean()))
        condition.records.label_specific[update, condition.variant, condition.seed] = arms


def _stacked(states: Sequence[Tensor | None]) -> Tensor:
    """[labelling, query, layer, d_model]; NaN where a labelling plays no part on this side."""
    like = next(s for s in states if s is not None)
    return torch.stack([torch.full_like(like, torch.nan) if s is None else s for s in states])


def _behind(condition: Condition, prompts: PromptSet) -> Tensor:
    """attn_out behind these demonstrations, captured once."""
    if prompts.hash not in condition.states:
        condition.states[prompts.hash] = condition.run(prompts, "icl", ("attn_out",))["attn_out"]
    return condition.states[prompts.hash]


def _spread(states: list[Tensor], n: int, left_out: range) -> list[Tensor | None]:
    """The states at the numbers of their labellings, None at those that are left out."""
    remaining = iter(states)
    return [None if i in left_out else next(remaining) for i in range(n)]


def _after(
    condition: Condition, update: str, lr: float, labellings: list[PromptSet], step: Callable[[str], None]
) -> list[list[Tensor]] | None:
    """attn_out zero-shot after updates on these demonstrations, in every order and then their own; None where one diverges."""
    found, name = [], f"{update}:labelling"
    for order in (*range(ORDERS), None):
        taken = [p if order is None else in_order(p, condition.seed, order) for p in labellings]
        states: list[Tensor] = []
        for weights in try_updates(condition, name, update, taken, lr, lambda: step(name)):
            if weights is None:
                return None
            with weights.applied(condition.model):
                states.append(condition.run(condition.prompts, "zs", ("attn_out",))["attn_out"])
        found.append(states)
    return found


def in_order(prompts: PromptSet, seed: int, order: int) -> PromptSet:
    """The demonstrations of the only context in an order drawn independently of it, the same for every labelling."""
    (context,) = prompts.contexts
    places = np_rng(seed, f"label-specific order {order}").permutation(len(context.demonstrations))
    return prompts.with_contexts([context.with_demonstrations([context.demonstrations[int(i)] for i in places])])
