"""From numbers per query to labelled arrays: means, intervals, masked counts, paired contrasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from iclmech._base import REGISTRIES
from iclmech.analysis.statistics import clustered_mean

from .._labelled import text_array
from ._contrasts import contrast_variables
from ._extra_variables import extra_variables
from ._gain import BASELINES, gain_variables, stacked
from ._intervals import Intervals, cell_means, counted, over, same_queries
from ._plan import CompareError, Plan
from ._rate_curve import RateCurve
from ._records import Cell, Records


@dataclass(frozen=True)
class Extent:
    """How far every variable reaches: the plan's names, and the sizes of model and grid."""

    plan: Plan
    n_rates: int
    n_layers: int
    n_heads: int
    crossed: bool = True  # all seeds have the same queries

    @property
    def intervals(self) -> Intervals:
        """How intervals are made."""
        return Intervals(self.plan.request.level, self.crossed)

    def names(self, kind: str) -> list[str]:
        """Names along the axis "comparison" or "setting"."""
        roster = self.plan.roster
        return list(roster.comparisons if kind == "comparison" else roster.settings)

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures of comparisons, the user's own last."""
        return (*self.plan.measures, *self.plan.metrics)


def gather(
    records: Records,
    extent: Extent,
    curve: RateCurve | None,
    rates: dict[str, tuple[float, ...]],
    prompts: Mapping[int, Any] | None = None,
) -> xr.Dataset:
    """The dataset without a query axis. `prompts`: of each seed; without them no accuracy is held against a constant answer."""
    extent = extent if prompts is None else replace(extent, crossed=same_queries(prompts))
    plan, variables = extent.plan, {}
    for measure in extent.measures:
        cells = records.compared.get(measure, {})
        variables |= _measure_variables(measure, cells, axes_of(measure, cells, extent), "comparison", extent)
    for measure in plan.single:
        variables |= _measure_variables(measure, records.single.get(measure, {}), (), "setting", extent)
    for measure in extent.measures:
        variables |= contrast_variables(measure, variables, records, extent)
    variables |= gain_variables(records.single.get("accuracy", {}), extent, prompts)
    variables["relative_norm"] = _norms(records, extent)
    variables["interval"] = ((), np.array("crossed" if extent.crossed else "nested", dtype=object))
    coords = {**_coordinates(extent), "bound": text_array(["low", "high"]), "baseline": text_array(BASELINES)}
    coords["lr_value"] = (("update", "lr"), np.array([rates[u] for u in plan.updates]))
    contrasts = plan.roster.contrasts
    coords["contrast"] = text_array(list(contrasts))
    coords["contrast_variant"] = ("contrast", text_array([c.variant for c in contrasts.values()]))
    variables |= extra_variables(records, plan, extent.n_layers, extent.n_rates)
    if curve is not None:
        variables |= _curve_variables(curve)
        coords["rate"] = np.array(curve.grid)
    return xr.Dataset(variables, coords)


def _coordinates(extent: Extent) -> dict[str, Any]:
    plan = extent.plan
    return {
        "comparison": text_array(extent.names("comparison")),
        "setting": text_array(extent.names("setting")),
        "variant": text_array(plan.variants),
        "update": text_array(list(plan.updates)),
        "seed": np.array(plan.seeds),
        "lr": np.arange(extent.n_rates),
        "layer": np.arange(extent.n_layers),
        "head": np.arange(extent.n_heads),
    }


def gather_queries(records: Records, extent: Extent, prompts: Any) -> xr.Dataset:
    """Every measure with a query axis behind the axis of rates."""
    variables: dict[str, Any] = {}
    kinds = (("comparison", records.compared, extent.measures), ("setting", records.single, extent.plan.single))
    for kind, found, measures in kinds:
        for measure in measures:
            cells = found.get(measure, {})
            axes = axes_of(measure, cells, extent)
            shapes = [c.shape for c in cells.values() if c.ndim]
            if not shapes:
                continue
            names, plan = extent.names(kind), extent.plan
            full = np.full(
                (len(names), len(plan.variants), len(plan.seeds), extent.n_rates, *shapes[0]), np.nan, np.float32
            )
            for (name, variant, seed, lr), value in cells.items():
                where = (names.index(name), plan.variants.index(variant), plan.seeds.index(seed))
                full[(*where, slice(None) if lr is None else lr)] = value
            variables[measure] = ((kind, "variant", "seed", "lr", "query", *axes), full)
    labels = np.array([-1 if q.label is None else q.label for q in prompts.queries])
    rows = np.array([q.index for q in prompts.queries])
    axis = {"query": np.arange(len(labels)), "query_label": ("query", labels), "query_index": ("query", rows)}
    return xr.Dataset(variables, {**_coordinates(extent), **axis})


def axes_of(measure: str, cells: dict[Cell, np.ndarray], extent: Extent) -> tuple[str, ...]:
    """Names of the axes behind the query axis. Raises `CompareError` if a measure changes its shape between comparisons."""
    shapes = {value.shape for value in cells.values()}
    if len(shapes) > 1:
        raise CompareError(
            f"the metric {measure!r} gave arrays of different shapes, {sorted(shapes)}; expected one shape."
        )
    rest = next(iter(shapes), ())[1:]
    if measure in extent.plan.measures:
        return REGISTRIES["measure"][measure].axes
    usual = (("layer", extent.n_layers), ("head", extent.n_heads))
    return tuple(usual[i][0] if i < 2 and n == usual[i][1] else f"{measure}_axis{i}" for i, n in enumerate(rest))


def _measure_variables(
    measure: str, cells: dict[Cell, np.ndarray], axes: tuple[str, ...], kind: str, extent: Extent
) -> dict[str, Any]:
    """All variables of one measure."""
    plan, names = extent.plan, extent.names(kind)
    rest = (
        next(iter(cells.values())).shape[1:]
        if cells
        else tuple(extent.n_layers if a == "layer" else extent.n_heads for a in axes)
    )
    full = _empty((len(names), len(plan.variants)), len(plan.seeds), extent.n_rates, rest)
    for n, name in enumerate(names):
        for v, variant in enumerate(plan.variants):
            for position in range(extent.n_rates):
                values = stacked(cells, name, variant, position, plan.seeds)
                if values is None:
                    continue
                at, by_seed = (n, v, position), (n, v, slice(None), position)
                if position and (name, variant, plan.seeds[0], None) in cells:  # does not depend on the rate
                    for suffix, array in full.items():
                        where, first = (by_seed, (n, v, slice(None), 0)) if _per_seed(suffix) else (at, (n, v, 0))
                        array[where] = array[first]
                    continue
                _fill(full, at, by_seed, values, measure, extent.intervals)
    lead, seed, lr = (kind, "variant"), ("seed",), ("lr",)
    made = {}
    for suffix, array in full.items():
        tail = () if "overall" in suffix and suffix != "_overall_kept" else axes
        bound = ("bound",) if suffix.endswith("_ci") else ()
        made[f"{measure}{suffix}"] = ((*lead, *(seed if _per_seed(suffix) else ()), *lr, *tail, *bound), array)
    return made


def _empty(head: tuple[int, ...], n_seeds: int, n_rates: int, rest: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Suffix of a variable → its array, nothing in it yet."""
    each, pooled = (*head, n_seeds, n_rates, *rest), (*head, n_rates, *rest)
    shapes = {
        "": each, "_ci": (*each, 2), "_n_masked": each, "_pooled": pooled, "_pooled_ci": (*pooled, 2),
        "_overall": (*head, n_rates), "_overall_ci": (*head, n_rates, 2), "_overall_by_seed": (*head, n_seeds, n_rates),
    }  # fmt: skip
    found: dict[str, Any] = {suffix: np.full(shape, np.nan) for suffix, shape in shapes.items()}
    found["_overall_claims"] = np.zeros((*head, n_rates), np.int8)
    if rest:
        found["_overall_kept"] = np.zeros(pooled, np.int8)
    return found


def _per_seed(suffix: str) -> bool:
    return suffix in ("", "_ci", "_n_masked", "_overall_by_seed")


def _over_features(values: np.ndarray, keep: int) -> np.ndarray:
    """Mean over all axes behind the first `keep`."""
    return over(np.asarray(values).reshape(*values.shape[:keep], -1), -1)


def _fill(
    full: dict[str, np.ndarray], at: tuple, by_seed: tuple, values: np.ndarray, measure: str, intervals: Intervals
) -> None:
    """Write one cell's numbers into the arrays."""
    means = np.stack([clustered_mean(v[None]) for v in values])
    full[""][by_seed] = means
    full["_n_masked"][by_seed] = np.isnan(values).sum(axis=1)
    full["_overall_by_seed"][by_seed] = _over_features(means, 1)
    if values.shape[1] > 1:  # else one number per seed: nothing varies within it
        full["_ci"][by_seed] = np.stack(intervals.by_seed(values, measure), axis=-1)
    pooled = clustered_mean(values)
    each = intervals.of(values, measure, mean=pooled)
    full["_pooled"][at] = pooled
    full["_pooled_ci"][at] = np.stack([each.low, each.high], axis=-1)
    kept = counted(values)
    overall = _over_features(pooled, 0)
    found = intervals.of(cell_means(values, kept), measure, mean=overall)
    full["_overall"][at] = overall
    full["_overall_ci"][at] = np.stack([found.low, found.high], axis=-1)
    full["_overall_claims"][at] = found.claims
    if "_overall_kept" in full:
        full["_overall_kept"][at] = kept


def _norms(records: Records, extent: Extent) -> tuple[tuple[str, ...], np.ndarray]:
    plan = extent.plan
    names = extent.names("comparison")
    values = np.full((len(names), len(plan.variants), len(plan.seeds), extent.n_rates), np.nan)
    for (name, variant, seed, lr), norm in records.relative_norm.items():
        values[names.index(name), plan.variants.index(variant), plan.seeds.index(seed), lr] = norm
    return ("comparison", "variant", "seed", "lr"), values


def _curve_variables(curve: RateCurve) -> dict[str, Any]:
    axes = ("update", "rate")
    return {
        "rate_label_nll": (axes, curve.label_nll),
        "rate_accuracy": (axes, curve.accuracy),
        "rate_relative_norm": (axes, curve.relative_norm),
        "rate_sim_aou": ((*axes, "layer"), curve.sim_aou),
        "rate_label_nll_zs": ((), curve.zs_label_nll),
        "rate_label_nll_icl": ((), curve.icl_label_nll),
        **curve.more,
    }
