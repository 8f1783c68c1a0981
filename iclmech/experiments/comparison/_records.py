"""The numbers of a comparison: per query, by measure and by where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._prompts import Notes

Cell = tuple[str, str, int, int | None]
"""(comparison or setting, variant, seed, position on the grid of rates; None where no rate plays a part)."""


@dataclass
class Records(Notes):
    """Numbers per query, by measure and cell; and what should be told.

    Attributes:
        compared, single: measures of comparisons and of settings.
        relative_norm: ‖ΔW‖/‖W‖, the mean over draws.
        scales: by (update, variant, seed, rate): the scales of matched random changes [draw, layer], whether they reach
            the displacement, and that displacement [layer].
        label_specific: by (update, variant, seed): arms of the label-specific similarity, name → [query, layer].
    """

    compared: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    single: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    relative_norm: dict[Cell, float] = field(default_factory=dict)
    scales: dict[tuple[str, str, int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)
    label_specific: dict[tuple[str, str, int], dict[str, np.ndarray]] = field(default_factory=dict)

    def part(self) -> Records:
        """Records for a part of the work: empty, but what is told already is known."""
        return Records(notes=list(self.notes))

    def added(self, part: Records) -> dict[str, Any]:
        """What a part holds, as plain values for its cell."""
        return {**vars(part), "notes": part.notes[len(self.notes) :]}

    def take(self, added: dict[str, Any]) -> None:
        """Join what a part holds to the rest."""
        for name in ("compared", "single"):
            for measure_name, cells in added[name].items():
                getattr(self, name).setdefault(measure_name, {}).update(cells)
        for name in ("relative_norm", "scales", "label_specific"):
            getattr(self, name).update(added[name])
        for text in added["notes"]:
            self.note(text)


def mean_over_draws(values: Sequence[np.ndarray]) -> np.ndarray:
    """The mean, masked draws left out; NaN where all are.

    >>> import numpy as np
    >>> mean_over_draws([np.array([1.0, np.nan]), np.array([3.0, np.nan])])
    array([ 2., nan])
    """
    if len(values) == 1:
        return values[0]
    stacked = np.stack(values)
    known = (~np.isnan(stacked)).sum(axis=0)
    total = np.nansum(stacked, axis=0)
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
