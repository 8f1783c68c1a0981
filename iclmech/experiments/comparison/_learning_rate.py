"""`lr="auto"`: one rule for the learning rate, and the whole curve that it was chosen on.

SimAOU depends on the learning rate. Per task and update, on held-out *training* examples of the trained model and three draws
of demonstrations, rates are walked upwards, three a decade, until the model breaks (`_rate_rule`); of those before, the one
with the likeliest labels serves every variant, control and seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from iclmech.models import ICLModel
from iclmech.tasks import Task

from ._control import kind_of
from ._equal_displacement import RateCells, equal_displacement, in_words
from ._held_out import Draw, Walked, draws_of, evidence, seeds_of_draws, walk
from ._plan import CompareError, Plan
from ._rate_curve import FIRST, LAST, RateCurve, Search, curve_of
from ._rate_rule import Choice, HeldOut, choose, end_of_walk
from ._rates import rate_at
from ._records import Records
from ._untrained_steps import beside_untrained

LEAST, MOST = -18, 3
"""How far it is extended where the lowest loss lies at an end: 1e-6 to 10."""


def choose_rates(
    model: ICLModel, task: Task, plan: Plan, records: Records, step: Callable[[str], None]
) -> tuple[dict[str, tuple[float, ...]], RateCurve]:
    """The chosen rate of every update, as a grid of one, and the curve.

    Raises:
        CompareError: every rate is refused.
    """
    draws = draws_of(model, task, plan, records, step, seeds_of_draws(plan))
    zero = evidence(draws, [d.zs for d in draws], [d.text_nll for d in draws], displacement=0.0)
    behind = evidence(draws, [d.icl for d in draws], [math.nan] * len(draws))
    entropy = label_entropy(task)
    searches: dict[str, Search] = {}
    for update in plan.updates:
        if kind_of(update) == "vector":
            searches[update] = at_usual_strength(draws, update, step)
            continue
        searches[update] = search = search_rates(draws, update, zero, entropy, step)
        if search.choice.best is None:
            raise CompareError(
                f"{update} is refused at every learning rate from {rate_at(search.exponents[0]):g} to "
                f"{rate_at(search.exponents[-1]):g} ({search.choice.refused[0]} at the smallest); pass lr= yourself."
            )
        records.note(describe(update, search, zero, behind, len(draws)))
    cells = _cells_of(searches, [len(d.zs) for d in draws])
    equally_far = equal_displacement(cells, list(searches)) if len(cells) > 1 else {}
    for other in list(cells)[1:]:
        records.note(in_words(f"{other} beside {next(iter(cells))}", equally_far, list(searches).index(other)))
    if cells and "untrained" in plan.variants:
        walked = {update: (of, searches[update].chosen) for update, of in cells.items()}
        equally_far |= beside_untrained(model, task, plan, walked, records, step)
    curve = curve_of(searches, zero, behind, draws, entropy, equally_far)
    return {update: (rate_at(s.chosen),) for update, s in searches.items()}, curve


def at_usual_strength(draws: list[Draw], update: str, step: Callable[[str], None]) -> Search:
    """A vector is not searched for: what it does on the held-out examples at strength 1."""
    (walked,) = walk(draws, update, [rate_at(LAST)], step)
    return Search({LAST: walked}, Choice(0, ("",), None, True, False, ""))


def search_rates(draws: list[Draw], update: str, zero: HeldOut, entropy: float, step: Callable[[str], None]) -> Search:
    """Walk the grid; extend it upwards while nothing breaks and the loss still falls, downwards while the first is the best."""
    low, high = FIRST, LAST
    walked: dict[int, Walked] = {}
    _walk_up(walked, draws, update, zero, range(low, high + 1), step)
    while True:
        order = sorted(walked)
        choice = choose(zero, [walked[e].held for e in order], entropy)
        if choice.edge == "high" and high < MOST:
            _walk_up(walked, draws, update, zero, range(high + 1, high + 4), step)
            high += 3
        elif choice.edge == "low" and low > LEAST:
            below = range(low - 3, low)
            walked |= dict(zip(below, walk(draws, update, [rate_at(e) for e in below], step), strict=True))
            low -= 3
        else:
            return Search(walked, choice)


def _walk_up(
    walked: dict[int, Walked], draws: list[Draw], update: str, zero: HeldOut, exponents: range, step: Any
) -> None:
    found: Iterator[Walked] = walk(draws, update, [rate_at(e) for e in exponents], step)
    for exponent, one in zip(exponents, found, strict=True):
        walked[exponent] = one
        if end_of_walk(zero, [walked[e].held for e in sorted(walked)]) is not None:
            return


def label_entropy(task: Task) -> float:
    """Nats, of the labels of the training examples; NaN for free text.

    >>> from iclmech.tasks import Example
    >>> examples = [Example(fields={"text": "a"}, label=i % 2) for i in range(4)]
    >>> round(label_entropy(Task("t", examples, [], "{text}", ["x", "y"])), 3)
    0.693
    """
    labels = [example.label for example in task.train if example.label is not None]
    if not labels:
        return math.nan
    shares = np.bincount(labels) / len(labels)
    return float(-sum(p * math.log(p) for p in shares if p))


def describe(update: str, search: Search, zero: HeldOut, behind: HeldOut, n_draws: int) -> str:
    """The note of a choice: on what, how good, how large, how far from the edge."""
    at, lr = search.held(search.chosen), rate_at(search.chosen)
    if at is None:
        return f"{update}: learning rate {lr:g}."
    parts = [
        f"{update}: learning rate {lr:g}, chosen on {len(zero.nll)} held-out training examples ({n_draws} draws of "
        f"demonstrations): label NLL {at.loss:.2f} (zero-shot {zero.loss:.2f}, in context {behind.loss:.2f})"
    ]
    if not math.isnan(at.among):
        parts.append(
            f"of it {at.mass:.2f} for giving a label word at all (zero-shot {zero.mass:.2f}) and {at.among:.2f} among them "
            f"(zero-shot {zero.among:.2f})"
        )
        parts.append(f"accuracy {at.accuracy:.2f} (zero-shot {zero.accuracy:.2f}, in context {behind.accuracy:.2f})")
    parts.append(f"‖ΔW‖/‖W‖ {at.relative_norm:.2g}, displacement {at.displacement:.2g}")
    return "; ".join(parts) + f". {_distance(search)}{_warnings(update, search)}"


def _distance(search: Search) -> str:
    beyond = [e for e in search.exponents if e > search.chosen and search.refused(e)]
    if not beyond:
        return f"No rate up to {rate_at(search.exponents[-1]):g}, where the walk ended, is refused."
    lr, why = rate_at(beyond[0]), search.refused(beyond[0])
    return f"The next refused rate is {lr:g}, {lr / rate_at(search.chosen):.2g} times as large ({why})."


def _warnings(update: str, search: Search) -> str:
    choice, said = search.choice, ""
    if not choice.helps:
        said += (
            f" No learning rate of {update} makes the labels of held-out training examples likelier than they are zero-shot: "
            "this is the largest that is not refused."
        )
    elif choice.format_only:
        said += (
            " It taught the format only: among the label words the right one is no likelier than the training labels' "
            "frequencies make it, so nothing here is about learning the task."
        )
    if choice.edge:
        said += f" It lies at the {'lower' if choice.edge == 'low' else 'upper'} end of the grid, which was extended as far as it goes."
    return said


def _cells_of(searches: dict[str, Search], sizes: list[int]) -> dict[str, RateCells]:
    """Weight updates at their sane rates; nothing where draws have different numbers of examples."""
    curves: dict[str, RateCells] = {}
    for update, search in searches.items():
        if kind_of(update) != "weights" or len(set(sizes)) > 1:
            continue
        sane = [e for e in search.exponents if search.held(e) and not search.refused(e)]
        cells = [
            np.stack([getattr(search.walked[e], name).reshape(len(sizes), sizes[0], -1) for e in sane], axis=2)
            for name in ("displacement", "sim_aou")
        ]
        curves[update] = RateCells(cells[0], cells[1], sane.index(search.chosen))
    return curves
