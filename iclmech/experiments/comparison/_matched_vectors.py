"""Random vectors at the strength at which they move the states behind them as far as the real vector does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech.analysis import metrics

from ._displacement_search import smallest_scales

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet

    from ._control import Trial
    from ._measure import Condition


def matched_vectors(condition: Condition, trial: Trial, held_out: PromptSet, draws: int) -> list[Any]:
    """Each random vector at the smallest strength that reaches the real one's mean displacement of attn_out, over the layers
    behind the edit, on held-out training queries zero-shot; where none does, all layers are masked."""
    real: Any = trial.weights
    noise = [real.random_like(1000 + condition.seed * draws + draw) for draw in range(draws)]
    masked = list(real.meta["unreached"])
    n_layers = real.n_layers
    seen = [layer for layer in range(n_layers) if layer not in masked]
    if not seen:
        return []
    zero = condition.run(held_out, "zs", ("attn_out",))

    def by_layer(weights: Any) -> np.ndarray:
        with weights.applied(condition.model):
            acts = condition.run(held_out, "zs", ("attn_out",))
        return metrics.displacement(zero, acts).double().nanmean(dim=0).numpy()

    def moved(strengths: np.ndarray) -> np.ndarray:
        tried = zip(noise, strengths, strict=True)
        return np.array([by_layer(one.at_strength(float(s), masked))[seen].mean() for one, s in tried])

    aim = by_layer(real)
    strengths, reached = smallest_scales(float(aim[seen].mean()), moved, draws)
    wide = (np.repeat(np.asarray(x)[:, None], n_layers, axis=1) for x in (strengths, reached))
    condition.records.scales[trial.update, condition.variant, condition.seed, trial.position] = (*wide, aim)  # type: ignore[assignment]  # three
    every = list(range(n_layers))
    return [
        one.at_strength(float(s), masked if ok else every) for one, s, ok in zip(noise, strengths, reached, strict=True)
    ]
