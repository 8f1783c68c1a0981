"""From the arrays of an inference-circuit run to one labelled dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from iclmech.analysis.circuit import MASS_ROLES
from iclmech.analysis.statistics import clustered_mean

from .._labelled import add_interval
from ._cuts import CutRuns
from ._plan import ARMS, CircuitPlan, Window
from ._states import HEAD_MEASURES, ITEM_MEASURES, LAYER_MEASURES

Settings = dict[str, tuple[np.ndarray, np.ndarray]]
States = dict[str, dict[str, np.ndarray]]
_BOUND = ("low", "high")


def build_dataset(
    plan: CircuitPlan,
    settings: Settings,
    cuts: CutRuns,
    states: States,
    held_out: dict[str, np.ndarray],
    selection: tuple[dict[str, Window], np.ndarray, np.ndarray],
    chance: float,
) -> xr.Dataset:
    """All numbers with intervals; `Circuit` says what each variable is."""
    data = xr.Dataset(
        coords={"bound": list(_BOUND), "edge": list(plan.edges), "arm": list(ARMS), "control": list(ARMS[1:])}
    )
    data["chance"] = chance
    _add_settings(data, settings, plan)
    _add_cuts(data, settings["icl"], cuts, plan)
    _add_windows(data, selection, plan)
    _add_states(data, states, plan)
    for name in (*LAYER_MEASURES, *HEAD_MEASURES):
        if name in held_out:
            value = clustered_mean(held_out[name])
            data[f"{name}_held_out"] = (("layer", "head")[: value.ndim], value)
    return data


def _interval(data: xr.Dataset, name: str, dims: tuple[str, ...], values: np.ndarray, plan: CircuitPlan) -> None:
    """Add `name` and `name_ci` from values [cluster, item, *dims]."""
    add_interval(data, name, dims, values, n_boot=plan.request.n_boot, level=plan.request.level, crossed=False)


def _by_seed(values: np.ndarray, plan: CircuitPlan) -> np.ndarray:
    """[..., cluster, item] -> [..., seed, context], means over items."""
    shape = (*values.shape[:-2], len(plan.seeds), -1)
    present = ~np.isnan(values)
    return (np.where(present, values, 0).sum(-1) / np.maximum(present.sum(-1), 1)).reshape(shape)


def _add_settings(data: xr.Dataset, settings: Settings, plan: CircuitPlan) -> None:
    data.coords["setting"] = list(settings)
    data.coords["seed"] = list(plan.seeds)
    correct = np.stack([settings[name][0] for name in settings])
    _interval(data, "accuracy", ("setting",), np.moveaxis(correct, 0, -1), plan)
    data["accuracy_by_context"] = (("setting", "seed", "context"), _by_seed(correct, plan))
    _interval(data, "label_nll", ("setting",), np.stack([settings[name][1] for name in settings], axis=-1), plan)
    icl = settings["icl"][0]
    others = [name for name in settings if name != "icl"]
    data.coords["baseline"] = others
    _interval(data, "gain", ("baseline",), np.stack([icl - settings[name][0] for name in others], axis=-1), plan)


def _add_cuts(data: xr.Dataset, intact: tuple[np.ndarray, np.ndarray], cuts: CutRuns, plan: CircuitPlan) -> None:
    def last(values: np.ndarray) -> np.ndarray:  # [edge, arm, cluster, item] -> [cluster, item, edge, arm]
        return np.moveaxis(values, (0, 1), (2, 3))

    correct, nll = last(cuts.correct), last(cuts.nll)
    _interval(data, "cut_accuracy", ("edge", "arm"), correct, plan)
    data["cut_accuracy_by_context"] = (("edge", "arm", "seed", "context"), _by_seed(cuts.correct, plan))
    _interval(data, "lost", ("edge", "arm"), intact[0][..., None, None] - correct, plan)
    _interval(data, "excess", ("edge", "control"), correct[..., 1:] - correct[..., :1], plan)
    _interval(data, "nll_added", ("edge", "arm"), nll - intact[1][..., None, None], plan)
    _interval(data, "nll_excess", ("edge", "control"), nll[..., :1] - nll[..., 1:], plan)
    data["edges_cut"] = (("edge", "arm"), cuts.edges_cut)
    data["mass_cut"] = (("edge", "arm"), cuts.mass_cut)


def _add_windows(data: xr.Dataset, selection: tuple[dict[str, Window], Any, Any], plan: CircuitPlan) -> None:
    chosen, accuracy, nll = selection
    data.coords["window"] = [f"{first}-{last}" for first, last in plan.windows]
    data["window_first"] = ("edge", [chosen[edge][0] for edge in plan.edges])
    data["window_last"] = ("edge", [chosen[edge][1] for edge in plan.edges])
    data["held_out_excess"] = (("edge", "window"), accuracy)
    data["held_out_nll_excess"] = (("edge", "window"), nll)


def _add_states(data: xr.Dataset, states: States, plan: CircuitPlan) -> None:
    data.coords["variant"] = list(states)
    data.coords["role"] = list(MASS_ROLES)
    trained = states["trained"]
    kinds = [(LAYER_MEASURES, ("layer",)), (HEAD_MEASURES, ("layer", "head")), (("mass",), ("layer", "head", "role"))]
    for names, dims in kinds:
        for name in names:
            if name in trained:
                values = np.stack([found[name] for found in states.values()], axis=2)
                _interval(data, name, ("variant", *dims), values, plan)
    for name in ITEM_MEASURES:
        if name in trained:
            _interval(data, name, (), trained[name], plan)
    for name in ("assigned_residual_share", "assigned_attention_share", "assigned_qk_share"):
        values = np.stack([found[name] for found in states.values()], axis=2)
        share = trained["gold_share"].reshape(*trained["gold_share"].shape, *[1] * (values.ndim - 2))
        dims = ("variant", "layer", "head")[: values.ndim - 2]
        _interval(data, name.replace("_share", "_excess"), dims, values - share, plan)
    data.coords["layer"] = np.arange(data.sizes["layer"])
    data.coords["head"] = np.arange(data.sizes["head"])
