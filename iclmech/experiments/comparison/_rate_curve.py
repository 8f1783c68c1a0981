"""The curve that a learning rate was chosen on: what every rate does on held-out training examples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._held_out import Draw, Walked
from ._rate_rule import Choice, HeldOut
from ._rates import rate_at

FIRST, LAST = -12, 0
"""`DEFAULT_GRID` in thirds of a decade."""


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


def curve_of(
    searches: dict[str, Search],
    zero: HeldOut,
    behind: HeldOut,
    draws: list[Draw],
    entropy: float,
    equally_far: dict[str, tuple[tuple[str, ...], Any]],
) -> RateCurve:
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
    more |= equally_far
    return RateCurve(
        tuple(rate_at(e) for e in exponents), each(lambda h: h.loss), each(lambda h: h.accuracy),
        each(lambda h: h.relative_norm), spread("sim_aou"), zero.loss, behind.loss, len(zero.nll), more,
    )  # fmt: skip


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
