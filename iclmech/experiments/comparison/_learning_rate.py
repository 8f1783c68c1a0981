"""`lr="auto"`: one rule for the learning rate, and the whole curve that it was chosen on.

SimAOU depends on the learning rate. Per task and update, on held-out *training* examples of the trained model and three draws
of demonstrations, rates are walked upwards, three a decade, until the model breaks (`_rate_rule`); of those before, the one
with the likeliest labels serves every variant, control and seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iclmech.models import ICLModel
from iclmech.tasks import Task

from ._control import kind_of
from ._equal_displacement import RateCells, equal_displacement
from ._held_out import Draw, Walked, draws_of, evidence, walk
from ._plan import CompareError, Plan, rate_at
from ._rate_rule import Choice, HeldOut, choose, end_of_walk
from ._records import Records

FIRST, LAST = -12, 0
"""`DEFAULT_GRID` in thirds of a decade."""
LEAST, MOST = -18, 3
"""How far it is extended where the lowest loss lies at an end: 1e-6 to 10."""


@dataclass(frozen=True)
class RateCurve:
    """What each rate of the grid does on held-out training examples, [update, rate] (SimAOU: [update, rate, layer]).

    NaN beyond the end of the walk. `more`: further variables, name → (dimensions, values).
    """

    grid: tuple[float, ...]
    label_nll: np.ndarray
    accuracy: np.ndarray
    relative_norm: np.ndarray
    sim_aou: np.ndarray
    zs_label_nll: float
    icl_label_nll: float
    n_queries: int
    more: dict[str, tuple[tuple[str, ...], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """One update's walk: thirds of decades → what that rate did, and what the rule says."""

    walked: dict[int, Walked]
    choice: Choice

    @property
    def exponents(self) -> list[int]:
        """In ascending order."""
        return sorted(self.walked)

    @property
    def chosen(self) -> int:
        """The chosen rate's exponent."""
        return self.exponents[self.choice.best or 0]

    def refused(self, exponent: int) -> str:
        """Why a rate is refused, or ""."""
        return self.choice.refused[self.exponents.index(exponent)]

    def held(self, exponent: int) -> HeldOut | None:
        """What a rate does on the examples; None where it diverges or was not walked."""
        return self.walked[exponent].held if exponent in self.walked else None


def choose_rates(
    model: ICLModel, task: Task, plan: Plan, records: Records, step: Callable[[str], None]
) -> tuple[dict[str, tuple[float, ...]], RateCurve]:
    """The chosen rate of every update, as a grid of one, and the curve.

    Raises:
        CompareError: every rate is refused.
    """
    draws = draws_of(model, task, plan, records, step)
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
    curve = _curve(searches, zero, behind, draws, entropy)
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


def _curve(searches: dict[str, Search], zero: HeldOut, behind: HeldOut, draws: list[Draw], entropy: float) -> RateCurve:
    """All walks on one grid."""
    exponents = sorted({FIRST, LAST}.union(*(s.walked for s in searches.values())))
    exponents = list(range(exponents[0], exponents[-1] + 1))

    def each(read: Any) -> np.ndarray:
        return np.array([[read(one) if (one := s.held(e)) else math.nan for e in exponents] for s in searches.values()])

    def spread(name: str) -> np.ndarray:
        empty = np.full(len(draws[0].zs["attn_out"][0]), np.nan)
        rows = [
            [_by_layer(getattr(s.walked[e], name)) if s.held(e) else empty for e in exponents]
            for s in searches.values()
        ]
        return np.array(rows)

    by_draw = [
        [s.walked[e].by_draw if s.held(e) else np.full(len(draws), np.nan) for e in exponents]
        for s in searches.values()
    ]
    axes = ("update", "rate")
    more: dict[str, tuple[tuple[str, ...], Any]] = {
        "rate_label_nll_by_draw": ((*axes, "draw"), np.array(by_draw)),
        "rate_nll_mass": (axes, each(lambda h: h.mass)),
        "rate_nll_conditional": (axes, each(lambda h: h.among)),
        "rate_text_nll": (axes, each(lambda h: h.text_nll)),
        "rate_displacement": ((*axes, "layer"), spread("displacement")),
        "rate_refused": (axes, _refused(searches, exponents)),
        "rate_format_only": (("update",), np.array([float(s.choice.format_only) for s in searches.values()])),
        "rate_helps": (("update",), np.array([float(s.choice.helps) for s in searches.values()])),
        "rate_label_entropy": ((), entropy),
        **_with_intervals(each),
    }
    for name, held in (("zs", zero), ("icl", behind)):
        more[f"rate_accuracy_{name}"] = ((), held.accuracy)
        more[f"rate_nll_mass_{name}"] = ((), held.mass)
        more[f"rate_nll_conditional_{name}"] = ((), held.among)
    more["rate_text_nll_zs"] = ((), zero.text_nll)
    more |= _at_equal_displacement(searches, [len(d.zs) for d in draws])
    return RateCurve(
        tuple(rate_at(e) for e in exponents), each(lambda h: h.loss), each(lambda h: h.accuracy),
        each(lambda h: h.relative_norm), spread("sim_aou"), zero.loss, behind.loss, len(zero.nll), more,
    )  # fmt: skip


def _at_equal_displacement(searches: dict[str, Search], sizes: list[int]) -> dict[str, tuple[tuple[str, ...], Any]]:
    """NaN for vectors; nothing for a single weight update, or where draws have different numbers of examples."""
    weights = [update for update in searches if kind_of(update) == "weights"]
    if len(weights) < 2 or len(set(sizes)) > 1:
        return {}
    curves = {}
    for update in weights:
        search = searches[update]
        sane = [e for e in search.exponents if search.held(e) and not search.refused(e)]
        cells = [
            np.stack([getattr(search.walked[e], name).reshape(len(sizes), sizes[0], -1) for e in sane], axis=2)
            for name in ("displacement", "sim_aou")
        ]
        curves[update] = RateCells(cells[0], cells[1], sane.index(search.chosen))
    return equal_displacement(curves, list(searches))


def _by_layer(values: np.ndarray) -> np.ndarray:
    """[example, layer] → [layer], NaN left out; NaN where all are."""
    known = (~np.isnan(values)).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)


def _refused(searches: dict[str, Search], exponents: list[int]) -> np.ndarray:
    """1 refused, 0 not, NaN beyond the end of the walk."""
    rows = [[float(bool(s.refused(e))) if e in s.walked else math.nan for e in exponents] for s in searches.values()]
    return np.array(rows)


def _with_intervals(each: Any) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """95 % over the examples: for looking at; the rule has errors of its own."""
    made = {}
    for name, attribute in (("label_nll", "nll"), ("accuracy", "correct")):
        mean = each(
            lambda h, a=attribute: float(np.nanmean(getattr(h, a))) if np.isfinite(getattr(h, a)).any() else np.nan
        )
        half = each(lambda h, a=attribute: _half_width(getattr(h, a)))
        made[f"rate_{name}_ci"] = (("update", "rate", "bound"), np.stack([mean - half, mean + half], axis=-1))
    return made


def _half_width(values: np.ndarray) -> float:
    from scipy.stats import t

    known = values[~np.isnan(values)]
    if len(known) < 2:
        return math.nan
    return float(t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
