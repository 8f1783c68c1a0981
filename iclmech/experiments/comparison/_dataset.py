"""From numbers per query to labelled arrays: means, intervals, masked counts, paired contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from iclmech._base import REGISTRIES
from iclmech.analysis.statistics import bootstrap_means, clustered_mean, percentile_interval

from .._labelled import text_array
from ._extra_variables import extra_variables
from ._learning_rate import RateCurve
from ._measure import Cell, Records
from ._plan import CompareError, Plan


@dataclass(frozen=True)
class Extent:
    """How far every variable reaches: the plan's names, and the sizes of model and grid."""

    plan: Plan
    n_rates: int
    n_layers: int
    n_heads: int

    def names(self, kind: str) -> list[str]:
        """Names along the axis "comparison" or "setting"."""
        roster = self.plan.roster
        return list(roster.comparisons if kind == "comparison" else roster.settings)

    @property
    def measures(self) -> tuple[str, ...]:
        """Measures of comparisons, the user's own last."""
        return (*self.plan.measures, *self.plan.metrics)


def gather(
    records: Records, extent: Extent, curve: RateCurve | None, rates: dict[str, tuple[float, ...]]
) -> xr.Dataset:
    """The dataset without a query axis."""
    plan, variables, replicates = extent.plan, {}, {}
    for measure in extent.measures:
        cells = records.compared.get(measure, {})
        axes = extentof(measure, cells, extent)
        made, replicates[measure] = _measure_variables(measure, cells, axes, "comparison", extent)
        variables |= made
    for measure in plan.single:
        variables |= _measure_variables(measure, records.single.get(measure, {}), (), "setting", extent)[0]
    for measure in extent.measures:
        variables |= _contrast_variables(measure, variables, replicates, extent)
    variables["relative_norm"] = _norms(records, extent)
    coords = {**_coordinates(extent), "bound": text_array(["low", "high"])}
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
            axes = extentof(measure, cells, extent)
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


def extentof(measure: str, cells: dict[Cell, np.ndarray], extent: Extent) -> tuple[str, ...]:
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
) -> tuple[dict[str, Any], dict[tuple[str, str, int], np.ndarray]]:
    """All variables of one measure; and the bootstrap replicates of its overall mean, for paired contrasts."""
    plan, names = extent.plan, extent.names(kind)
    rest = (
        next(iter(cells.values())).shape[1:]
        if cells
        else tuple(extent.n_layers if a == "layer" else extent.n_heads for a in axes)
    )
    head = (len(names), len(plan.variants))
    seeds, lrs = (len(plan.seeds),), (extent.n_rates,)
    full = {
        "": np.full((*head, *seeds, *lrs, *rest), np.nan),
        "_ci": np.full((*head, *seeds, *lrs, *rest, 2), np.nan),
        "_n_masked": np.full((*head, *seeds, *lrs, *rest), np.nan),
        "_pooled": np.full((*head, *lrs, *rest), np.nan),
        "_pooled_ci": np.full((*head, *lrs, *rest, 2), np.nan),
        "_overall": np.full((*head, *lrs), np.nan),
        "_overall_ci": np.full((*head, *lrs, 2), np.nan),
        "_overall_by_seed": np.full((*head, *seeds, *lrs), np.nan),
    }
    replicates: dict[tuple[str, str, int], np.ndarray] = {}
    for n, name in enumerate(names):
        for v, variant in enumerate(plan.variants):
            for position in range(extent.n_rates):
                values = _stack(cells, name, variant, position, plan.seeds)
                if values is None:
                    continue
                at, by_seed = (n, v, position), (n, v, slice(None), position)
                if position and (name, variant, plan.seeds[0], None) in cells:  # does not depend on the rate
                    for suffix, array in full.items():
                        where, first = (by_seed, (n, v, slice(None), 0)) if _per_seed(suffix) else (at, (n, v, 0))
                        array[where] = array[first]
                    replicates[name, variant, position] = replicates[name, variant, 0]
                    continue
                replicates[name, variant, position] = _fill(full, at, by_seed, values, plan)
    lead, seed, lr = (kind, "variant"), ("seed",), ("lr",)
    made = {}
    for suffix, array in full.items():
        tail = () if "overall" in suffix else axes
        bound = ("bound",) if suffix.endswith("_ci") else ()
        made[f"{measure}{suffix}"] = ((*lead, *(seed if _per_seed(suffix) else ()), *lr, *tail, *bound), array)
    return made, replicates


def _per_seed(suffix: str) -> bool:
    return suffix in ("", "_ci", "_n_masked", "_overall_by_seed")


def _stack(
    cells: dict[Cell, np.ndarray], name: str, variant: str, position: int, seeds: Sequence[int]
) -> np.ndarray | None:
    """[seed, query, ...] of one cell over seeds, NaN where a seed is missing; a number per seed counts as one query."""
    found = [cells.get((name, variant, seed, position), cells.get((name, variant, seed, None))) for seed in seeds]
    shape = next((f.shape for f in found if f is not None), None)
    if shape is None:
        return None
    stacked = np.stack([np.full(shape, np.nan) if f is None else f for f in found])
    return stacked[:, None] if stacked.ndim == 1 else stacked


def _over_features(values: ArrayLike, keep: int) -> np.ndarray:
    """Mean over all axes behind the first `keep`, leaving NaN out; NaN where everything is."""
    array = np.asarray(values)
    flat = array.reshape(*array.shape[:keep], -1)
    count = (~np.isnan(flat)).sum(axis=-1)
    return np.divide(np.nansum(flat, axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)


def _fill(full: dict[str, np.ndarray], at: tuple, by_seed: tuple, values: np.ndarray, plan: Plan) -> np.ndarray:
    """Write one cell's numbers into the arrays; return the replicates of its overall mean."""
    options: dict[str, Any] = {"n_boot": plan.request.n_boot, "seed": 0}
    means = np.stack([clustered_mean(v[None]) for v in values])
    full[""][by_seed] = means
    full["_n_masked"][by_seed] = np.isnan(values).sum(axis=1)
    full["_overall_by_seed"][by_seed] = _over_features(means, 1)
    single = values.shape[1] == 1  # one number per seed: nothing to resample within it
    for i, one in enumerate(values):
        if not single:
            low, high = percentile_interval(bootstrap_means(one[None], **options), plan.request.level)
            full["_ci"][(*by_seed[:2], i, by_seed[3])] = np.stack([low, high], axis=-1)
    draws = bootstrap_means(values, **options)
    full["_pooled"][at] = clustered_mean(values)
    full["_pooled_ci"][at] = np.stack(percentile_interval(draws, plan.request.level), axis=-1)
    overall = _over_features(draws, 1)
    full["_overall"][at] = _over_features(full["_pooled"][at], 0)
    full["_overall_ci"][at] = np.stack(percentile_interval(overall, plan.request.level), axis=-1)
    return overall


def _contrast_variables(
    measure: str, variables: dict[str, Any], replicates: dict[str, Any], extent: Extent
) -> dict[str, Any]:
    """Paired differences of overall means: the same resampled seeds and queries on both sides."""
    plan, contrasts, names = extent.plan, list(extent.plan.roster.contrasts.values()), extent.names("comparison")
    mean = np.full((len(contrasts), extent.n_rates), np.nan)
    ci = np.full((len(contrasts), extent.n_rates, 2), np.nan)
    by_seed = np.full((len(contrasts), len(plan.seeds), extent.n_rates), np.nan)
    for p, contrast in enumerate(contrasts):
        if contrast.right.null and measure != "sim_aou":
            continue  # the closed form is the null of SimAOU alone
        sides = []
        for side in (contrast.left, contrast.right):
            source = "null_closed_form" if side.null else measure
            where = (names.index(side.comparison), plan.variants.index(side.variant))
            numbers = [variables[f"{source}_overall{s}"][1][where] for s in ("", "_by_seed")]
            draws = {i: replicates[source].get((side.comparison, side.variant, i)) for i in range(extent.n_rates)}
            sides.append((*numbers, draws))
        mean[p], by_seed[p] = sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]
        for i in range(extent.n_rates):
            a, b = sides[0][2][i], sides[1][2][i]
            if a is not None and b is not None:
                ci[p, i] = percentile_interval(a - b, plan.request.level)
    return {
        f"{measure}_contrast": (("contrast", "lr"), mean),
        f"{measure}_contrast_ci": (("contrast", "lr", "bound"), ci),
        f"{measure}_contrast_by_seed": (("contrast", "seed", "lr"), by_seed),
    }


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
