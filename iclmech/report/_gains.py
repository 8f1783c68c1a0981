"""Whether anything was learned at all: accuracy beside zero-shot, on the level of seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from iclmech.analysis.statistics import seed_spread

if TYPE_CHECKING:
    from iclmech.experiments import Comparison


class Gain(NamedTuple):
    """Accuracy of a setting minus zero-shot accuracy, in points, per learning rate, with Student's interval over seeds."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def learned(self) -> bool | None:
        """Above zero at every learning rate; None where it cannot be said (one seed, or masked)."""
        if not np.isfinite(self.low).all() or not self.low.size:
            return None
        return bool((self.low > 0).all())

    @property
    def text(self) -> str:
        """+12 [+8, +16], from the first to the last learning rate."""
        parts = []
        for mean, low, high in zip(*self, strict=True):
            interval = f" [{_points(low)}, {_points(high)}]" if np.isfinite(low) else ""
            parts.append(f"{_points(mean)}{interval}")
        return "; ".join(dict.fromkeys(parts))


def gain(result: Comparison, setting: str) -> Gain:
    """What `setting` of the trained model gains on zero-shot, seed by seed."""
    data = result.means
    nothing = np.full(1, np.nan)
    if "accuracy_overall_by_seed" not in data or not {setting, "zs"} <= {str(s) for s in data["setting"].values}:
        return Gain(nothing, nothing, nothing)
    accuracy = data["accuracy_overall_by_seed"].sel(variant="trained").transpose("setting", "seed", "lr")
    difference = np.asarray((accuracy.sel(setting=setting) - accuracy.sel(setting="zs")).values, dtype=float)
    if not setting.startswith("ft:"):
        difference = difference[:, :1]  # does not depend on the rate
    found, _ = seed_spread(100 * difference)
    return Gain(found.mean, found.low, found.high)


def _points(x: float) -> str:
    digits = 0 if abs(x) >= 1 else 1
    return f"{x:+.{digits}f}".replace("-", "−") if np.isfinite(x) else "–"
