"""Variables that are no measure of every comparison: the scales of matched updates, the label-specific similarity."""

from __future__ import annotations

from typing import Any

import numpy as np

from iclmech.analysis.statistics import two_way_interval

from ._plan import Plan
from ._records import Records, mean_over_draws

Variables = dict[str, tuple[tuple[str, ...], Any]]

MANY = 0.25
"""Share of draws without a scale from which the note names a layer."""
OFF = 0.1
"""Relative distance of displacements from which a matched update is told not to match."""


def extra_variables(records: Records, plan: Plan, n_layers: int, n_rates: int) -> Variables:
    """Name → (dimensions, values); empty where nothing of the kind was run."""
    return {**_scales(records, plan, n_layers, n_rates), **_labels(records, plan, n_layers)}


def _scales(records: Records, plan: Plan, n_layers: int, n_rates: int) -> Variables:
    if not records.scales:
        return {}
    shape = (len(plan.updates), len(plan.variants), len(plan.seeds), n_rates, n_layers)
    scale, unreached, aim = (np.full(shape, np.nan) for _ in range(3))
    for (update, variant, seed, rate), (scales, reached, target) in records.scales.items():
        at = (list(plan.updates).index(update), plan.variants.index(variant), plan.seeds.index(seed), rate)
        scale[at], aim[at] = mean_over_draws(list(np.where(reached, scales, np.nan))), target
        unreached[at] = 1 - reached.mean(axis=0)
    axes = ("update", "variant", "seed", "lr", "layer")
    return {
        "matched_scale": (axes, scale),
        "matched_unreached": (axes, unreached),
        "matched_aim": (axes, aim),
    }


def _labels(records: Records, plan: Plan, n_layers: int) -> Variables:
    """Means over queries of every arm, and of the estimate an interval for other seeds and other queries."""
    if not records.label_specific:
        return {}
    names = list(plan.roster.comparisons)
    head = (len(names), len(plan.variants))
    arms = sorted({arm for found in records.label_specific.values() for arm in found} - {"share_kept"})
    values = {arm: np.full((*head, len(plan.seeds), n_layers), np.nan) for arm in arms}
    kept = np.full(len(plan.seeds), np.nan)
    tables: dict[tuple[int, int], list[np.ndarray]] = {}
    for (update, variant, seed), found in records.label_specific.items():
        at = (names.index(update), plan.variants.index(variant))
        s = plan.seeds.index(seed)
        for arm in arms:
            values[arm][(*at, s)] = mean_over_draws(list(found[arm])) if arm in found else np.nan
        kept[s] = float(found["share_kept"])
        tables.setdefault(at, []).append(_over_layers(found["delta"]))
    overall, interval = np.full(head, np.nan), np.full((*head, 2), np.nan)
    for at, rows in tables.items():
        if len({len(row) for row in rows}) == 1:
            found = two_way_interval(np.stack(rows), plan.request.level)
            overall[at], interval[at] = found.mean, (found.low, found.high)
    axes = ("comparison", "variant", "seed", "layer")
    made: Variables = {f"sim_aou_labels{'' if arm == 'delta' else '_' + arm}": (axes, values[arm]) for arm in arms}
    made["sim_aou_labels_mean"] = (axes[:2], overall)
    made["sim_aou_labels_mean_ci"] = ((*axes[:2], "bound"), interval)
    made["sim_aou_labels_share_kept"] = (("seed",), kept)
    return made


def _over_layers(values: np.ndarray) -> np.ndarray:
    return mean_over_draws(list(values.T))


def notes_of(records: Records, plan: Plan) -> None:
    """How matched updates came out, one note for each update on each model."""
    for update in plan.updates:
        for variant in plan.variants:
            found = [v for (u, w, _, _), v in records.scales.items() if (u, w) == (update, variant)]
            if found:
                records.note(_matched_note(records, update, variant, found))


def _matched_note(records: Records, update: str, variant: str, found: list[Any]) -> str:
    scales, reached = (np.concatenate([one[i] for one in found]) for i in (0, 1))  # [draw of any seed, layer]
    name = f"{update}:matched_update"
    norms = [
        np.mean([v for (n, w, _, _), v in records.relative_norm.items() if (n, w) == (which, variant)])
        for which in (name, update)
    ]
    said = f"{name} ({variant}): random changes "
    if reached.any():
        said += f"{_short(scales[reached].min())} to {_short(scales[reached].max())} times as large as the update, layer by layer; "
    said += f"‖ΔW‖/‖W‖ {norms[0]:.2g}, of the update {norms[1]:.2g}."
    lost = (~reached).mean(axis=0)
    if lost.any():
        said += (
            f" {lost.mean():.0%} of draws and layers are left out, since what was changed below moves the states further already, or no "
            f"scale moves them as far{_mostly(lost)}."
        )
    off = [layer for layer, gap in enumerate(_gaps(records, name, update, variant)) if gap > OFF]
    if off:
        said += f" On the queries themselves the displacements differ by more than {OFF:.0%} in layers {', '.join(map(str, off))}."
    return said


def _short(x: float) -> str:
    return f"{x:,.0f}" if x >= 10 else f"{x:.2g}"


def _mostly(lost: np.ndarray) -> str:
    """The layers that a claim may not rest on."""
    many = [str(layer) for layer in np.flatnonzero(lost > MANY)]
    return f"; more than {MANY:.0%} of draws in layers {', '.join(many)}" if many else ""


def _gaps(records: Records, name: str, update: str, variant: str) -> np.ndarray:
    """|displacement of the matched update / of the update - 1| on the queries [layer]."""
    moved = records.compared.get("displacement", {})
    sides = [[v for (n, w, _, _), v in moved.items() if (n, w) == (which, variant)] for which in (name, update)]
    if not all(sides):
        return np.zeros(0)
    mine, theirs = (mean_over_draws(list(np.concatenate(side))) for side in sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(mine / theirs - 1)
