"""Paired contrasts: an update against a control or another update, on the same seeds, queries, layers and heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech.analysis.statistics import paired_difference

from ._gain import stacked
from ._intervals import cell_means, counted, over
from ._roster import Side

if TYPE_CHECKING:
    from ._dataset import Extent
    from ._records import Records


ENOUGH = 0.75
"""With fewer of the layers and heads that the left side has, a contrast carries no claim."""


def contrast_variables(measure: str, variables: dict[str, Any], records: Records, extent: Extent) -> dict[str, Any]:
    """Paired differences of overall means: the same seeds, queries, layers and heads on both sides."""
    plan, contrasts = extent.plan, list(extent.plan.roster.contrasts.values())
    n, lrs, seeds = len(contrasts), extent.n_rates, len(plan.seeds)
    axes = variables[f"{measure}_pooled"][0][3:]
    rest = variables[f"{measure}_pooled"][1].shape[3:]
    made: dict[str, Any] = {
        "": (("contrast", "lr"), np.full((n, lrs), np.nan)),
        "_ci": (("contrast", "lr", "bound"), np.full((n, lrs, 2), np.nan)),
        "_p": (("contrast", "lr"), np.full((n, lrs), np.nan)),
        "_by_seed": (("contrast", "seed", "lr"), np.full((n, seeds, lrs), np.nan)),
        "_claims": (("contrast", "lr"), np.zeros((n, lrs), np.int8)),
    }
    if rest:
        made["_kept"] = (("contrast", "lr", *axes), np.zeros((n, lrs, *rest), np.int8))
    for p, contrast in enumerate(contrasts):
        if contrast.right.null and measure != "sim_aou":
            continue  # the closed form is the null of SimAOU alone
        for i in range(lrs):
            left, right = (_side(side, measure, i, records, extent) for side in (contrast.left, contrast.right))
            if left is None or right is None:
                continue
            kept, difference, masks_agree = _paired(left, right)
            by_seed = over(difference, 1)
            mean: float | np.ndarray = float(over(by_seed, 0))
            if masks_agree:  # then it is the difference of the two means
                both = [_overall(s, measure, i, variables, extent) for s in (contrast.left, contrast.right)]
                mean, by_seed = both[0][0] - both[1][0], both[0][1] - both[1][1]
            found = extent.intervals.of(difference, measure, difference=True, mean=mean)
            made[""][1][p, i], made["_by_seed"][1][p, :, i] = mean, by_seed
            made["_ci"][1][p, i], made["_p"][1][p, i] = (found.low, found.high), found.p
            made["_claims"][1][p, i] = found.claims and kept.sum() >= ENOUGH * counted(left).sum()
            if rest:
                made["_kept"][1][p, i] = kept
    return {f"{measure}_contrast{suffix}": made_of for suffix, made_of in made.items()}


def _side(side: Side, measure: str, position: int, records: Records, extent: Extent) -> np.ndarray | None:
    """The values of one side of a contrast, [seed, query, ...]; None where it was not run."""
    cells = records.compared.get("null_closed_form" if side.null else measure, {})
    return stacked(cells, side.comparison, side.variant, position, extent.plan.seeds)


def _paired(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """(layers and heads that count, differences [seed, query], whether the same entries are masked on both sides)."""
    kept = counted(left, right)
    difference = cell_means(paired_difference(left, right), kept)
    return kept, difference, bool((np.isnan(left) == np.isnan(right)).all())


def _overall(side: Side, measure: str, position: int, variables: dict[str, Any], extent: Extent) -> tuple[Any, Any]:
    """(mean, means by seed) of one side over everything."""
    source = "null_closed_form" if side.null else measure
    where = (extent.names("comparison").index(side.comparison), extent.plan.variants.index(side.variant))
    return (
        variables[f"{source}_overall"][1][(*where, position)],
        variables[f"{source}_overall_by_seed"][1][(*where, slice(None), position)],
    )
