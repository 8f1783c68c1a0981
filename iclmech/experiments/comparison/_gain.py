"""What a setting gains: its accuracy beyond zero-shot, and beyond the best constant answer, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech.analysis import metrics
from iclmech.analysis.statistics import paired_difference

from ._intervals import over

if TYPE_CHECKING:
    from ._dataset import Extent

BASELINES = ("zs", "constant")
"""Zero-shot, and the answer that would be right most often: chance is not one over the number of label words."""


def stacked(
    cells: Mapping[tuple[str, str, int, int | None], np.ndarray],
    name: str,
    variant: str,
    position: int,
    seeds: Sequence[int],
) -> np.ndarray | None:
    """[seed, query, ...] of one cell over seeds, NaN where a seed is missing; a number per seed counts as one query."""
    found = [cells.get((name, variant, seed, position), cells.get((name, variant, seed, None))) for seed in seeds]
    shape = next((f.shape for f in found if f is not None), None)
    if shape is None:
        return None
    values = np.stack([np.full(shape, np.nan) if f is None else f for f in found]).astype(np.float64)
    return values[:, None] if values.ndim == 1 else values


def gain_variables(
    cells: Mapping[tuple[str, str, int, int | None], np.ndarray],
    extent: Extent,
    prompts: Mapping[int, Any] | None,
) -> dict[str, Any]:
    """`gain` (setting, baseline, lr) of the trained model, with interval, p and seeds; `chance` (seed), the best constant's accuracy.

    Paired by query: 1[right] - 1[right without demonstrations], and 1[right] - 1[gold = c*] with c* the most frequent right
    answer of the seed's own queries. No model knows c* beforehand, so the second is conservative.
    """
    seeds, names = extent.plan.seeds, extent.names("setting")
    shape = (len(names), len(BASELINES), extent.n_rates)
    mean, p, claims = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.int8)
    ci, by_seed = np.full((*shape, 2), np.nan), np.full((*shape[:2], len(seeds), extent.n_rates), np.nan)
    constant = _constant(prompts, seeds)
    baselines = {"zs": stacked(cells, "zs", "trained", 0, seeds), "constant": constant}
    for n, name in enumerate(names):
        for b, baseline in enumerate(BASELINES):
            beside = baselines[baseline]
            for i in range(extent.n_rates):
                values = stacked(cells, name, "trained", i, seeds)
                if values is None or beside is None or (name, baseline) == ("zs", "zs"):
                    continue
                difference = paired_difference(values, beside)
                by_seed[n, b, :, i] = over(difference, 1)
                mean[n, b, i] = over(by_seed[n, b, :, i], 0)
                found = extent.intervals.of(difference, "accuracy", difference=True, mean=mean[n, b, i])
                ci[n, b, i], p[n, b, i], claims[n, b, i] = (found.low, found.high), found.p, found.claims
    axes = ("setting", "baseline", "lr")
    chance = np.full(len(seeds), np.nan) if constant is None else over(constant, 1)
    return {
        "gain": (axes, mean),
        "gain_ci": ((*axes, "bound"), ci),
        "gain_p": (axes, p),
        "gain_claims": (axes, claims),
        "gain_by_seed": (("setting", "baseline", "seed", "lr"), by_seed),
        "chance": (("seed",), chance),
    }


def _constant(prompts: Mapping[int, Any] | None, seeds: Sequence[int]) -> np.ndarray | None:
    """1 where the best constant answer is right, [seed, query]; NaN where a query has no label; None where none has."""
    if prompts is None:
        return None
    rows = []
    for seed in seeds:
        labels = [-1 if q.label is None else int(q.label) for q in prompts[seed].queries]
        if max(labels, default=-1) < 0:
            return None
        best = metrics.best_constant(labels)
        rows.append([np.nan if label < 0 else float(label == best) for label in labels])
    return np.array(rows)
