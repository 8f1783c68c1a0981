"""Tables [seed, query] behind every number of a comparison, and their two-way intervals.

What one number stands for (layers, heads) is averaged inside each cell first, over a set fixed for all cells:

    values [seed, query, layer, head] ─► counted(...)     which layers and heads have a value in at least 95 % of cells
                                      ─► cell_means(...)  one number per seed and query
                                      ─► interval(...)    mean over both, with what other seeds and other queries would change
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iclmech._base import REGISTRIES, Measure
from iclmech.analysis.statistics import Estimate, two_way_interval

VALID = 0.95
"""A layer or head counts where this share of its cells has a value."""


@dataclass(frozen=True)
class Intervals:
    """How the intervals of one comparison are made.

    Attributes:
        level: of every interval.
        crossed: whether all seeds have the same queries: the same text, right answer and label words.
    """

    level: float = 0.95
    crossed: bool = True

    def of(
        self, values: np.ndarray, measure: str, *, difference: bool = False, mean: np.ndarray | float | None = None
    ) -> Estimate:
        """The estimate of `values[seed, query, ...]`.

        Args:
            values: NaN is masked.
            measure: its record says what range it has; values 0 and 1 of a share are padded.
            difference: the values are paired differences of two such measures.
            mean: the mean that stands in the result, where masks make it another one than that of complete queries: the
                interval goes with it.
        """
        single = values.shape[1] == 1  # a number per seed
        options: dict[str, Any] = {"level": self.level, "kind": "crossed" if self.crossed and not single else "nested"}
        options |= _range(values, measure, difference, single)
        found = two_way_interval(values, **options)
        if mean is None:
            return found
        moved = np.nan_to_num(np.asarray(mean) - found.mean)
        if np.abs(moved).max(initial=0.0) <= 1e-9:
            return found
        low, high = options.get("limits") or _CUT.get(options.get("binary", ""), (-np.inf, np.inf))
        if moved.ndim == 0:
            found = found._replace(p=two_way_interval(values, **options, null=-float(moved)).p)
        return found._replace(
            mean=found.mean + moved,
            low=np.clip(found.low + moved, low, high),
            high=np.clip(found.high + moved, low, high),
        )

    def by_seed(self, values: np.ndarray, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of each seed's mean over its queries, [seed, ...]: Student's interval, for other queries only."""
        table = np.moveaxis(values, 0, 1)[None]  # [1, query, seed, ...]
        found = two_way_interval(table, level=self.level, kind="nested", **_range(table, measure, False, False))
        return found.low, found.high


_CUT = {"share": (0.0, 1.0), "difference": (-1.0, 1.0)}


def _range(values: np.ndarray, measure: str, difference: bool, single: bool) -> dict[str, Any]:
    """`binary` or `limits` of a measure: shares that are 0 or 1 in each cell are padded, others are cut to their range."""
    record: Measure | None = REGISTRIES["measure"].get(measure)
    if record is None:
        return {}
    low, high = record.range
    there = values[~np.isnan(values)]
    if (low, high) == (0, 1) and not single and np.isin(there, (-1, 0, 1) if difference else (0, 1)).all():
        return {"binary": "difference" if difference else "share"}
    low, high = (float(-np.inf if low is None else low), float(np.inf if high is None else high))
    return {"limits": (low - high, high - low) if difference else (low, high)}


def counted(*sides: np.ndarray) -> np.ndarray:
    """Which layers and heads enter an average: those valid in at least 95 % of the cells of every side.

    Where there is none of these, those with any value on every side.
    """
    present = [~np.isnan(side) for side in sides]
    for least in (VALID, np.finfo(float).tiny):
        kept = np.logical_and.reduce([p.mean(axis=(0, 1)) >= least for p in present])
        if kept.any():
            break
    return np.asarray(kept)


def cell_means(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """[seed, query]: the mean over the layers and heads of `kept`; NaN where a cell has none of them.

    A masked entry counts as the mean of its layer or head in that seed, so that no cell is high or low because of which
    layers it lacks.
    """
    if values.ndim == 2:
        return values
    flat = values.reshape(*values.shape[:2], -1)[..., np.ravel(kept)]
    if not flat.shape[-1]:
        return np.full(values.shape[:2], np.nan)
    there = ~np.isnan(flat)
    level = over(flat, 1)[:, None]
    level = np.where(np.isnan(level), over(level, 0)[None], level)
    filled = np.where(there, flat, level)
    return np.where(there.any(axis=-1), over(filled, -1), np.nan)


def over(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis, leaving NaN out; NaN where everything is."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count > 0)


def same_queries(prompts: Mapping[int, Any]) -> bool:
    """Whether text, right answer and label words of the queries are the same for all seeds."""

    def asked(found: Any) -> list[Any]:
        return [
            (list(q.tokens), q.label, list(q.target_tokens or ()), list(found.contexts[q.context].label_tokens))
            for q in found.queries
        ]

    first, *rest = (asked(found) for found in prompts.values())
    return all(other == first for other in rest)
