"""Captured settings reduced to numbers per query: every measure, the user's own included, into the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from iclmech._base import REGISTRIES, ICLMechError
from iclmech.captures import Activations

from ._rates import CompareError
from ._records import mean_over_draws

if TYPE_CHECKING:
    from ._measure import Condition

Tuned = list[tuple[Activations, Sequence[int]]]
"""Of every draw the zero-shot setting under the update, and the layers that are masked."""


def record_setting(condition: Condition, name: str, lr: int | None, draws: Sequence[Activations]) -> None:
    """Accuracy, label likelihood and the like of one setting, averaged over draws."""
    for measure_name in condition.plan.single:
        value = mean_over_draws([as_numpy(REGISTRIES["measure"][measure_name](acts)) for acts in draws])
        condition.records.single.setdefault(measure_name, {})[condition.cell(name, lr)] = value


def record_comparison(
    condition: Condition, name: str, lr: int | None, zs: Activations, icl: Activations, draws: Tuned
) -> None:
    """Every measure of (zs, icl, ft), the user's included, averaged over draws."""
    found: dict[str, list[np.ndarray]] = {}
    for ft, unreached in draws:
        values = {m: as_numpy(REGISTRIES["measure"][m](zs, icl, ft)) for m in condition.plan.measures}
        values |= own_measures(condition, name, zs, icl, ft)
        for measure_name, value in values.items():
            if len(unreached) and value.ndim > 1 and value.shape[1] == len(zs["attn_out"][0]):
                value = value.copy()
                value[:, list(unreached)] = np.nan
            found.setdefault(measure_name, []).append(value)
    for measure_name, each in found.items():
        condition.records.compared.setdefault(measure_name, {})[condition.cell(name, lr)] = mean_over_draws(each)


def own_measures(
    condition: Condition, name: str, zs: Activations, icl: Activations, ft: Activations
) -> dict[str, np.ndarray]:
    """The user's measures, each checked to be a number or an array with the queries first."""
    values: dict[str, np.ndarray] = {}
    for metric, function in condition.plan.metrics.items():
        try:
            value = as_numpy(function(zs, icl, ft))
        except ICLMechError:
            raise
        except Exception as error:
            raise CompareError(
                f"the metric {metric!r} failed in the comparison {name!r}: {type(error).__name__}: {error}. A metric takes the "
                "activations (zs, icl, ft) and gives a number, or an array with one entry per query."
            ) from error
        if value.ndim and value.shape[0] != len(zs):
            raise CompareError(
                f"the metric {metric!r} gave shape {value.shape} for {len(zs)} queries; expected a number, or an array with "
                "one entry per query along its first axis."
            )
        values[metric] = value
    return values


def as_numpy(value: Any) -> np.ndarray:
    """float32, a single number float64."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float32 if array.ndim else np.float64)
