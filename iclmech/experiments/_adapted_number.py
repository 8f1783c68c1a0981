"""How many demonstrations a query gets: the fewest at which the model is sure, against fixed numbers at equal budgets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from ._estimates import add_estimate
from ._selection_request import SelectionRequest


class Adapted(NamedTuple):
    """Of one threshold, by [seed, query]."""

    accuracy: np.ndarray
    dealt: np.ndarray
    fixed: np.ndarray
    fixed_spent: np.ndarray
    tokens: np.ndarray
    spent: np.ndarray


def first_sure(confidence: Float[np.ndarray, "seed query rung"], threshold: float) -> Int[np.ndarray, "seed query"]:
    """The first rung at which a query's confidence reaches the threshold, the last one where none does.

    >>> import numpy as np
    >>> first_sure(np.array([[[0.5, 0.9, 0.6], [0.4, 0.4, 0.4]]]), 0.8).tolist()
    [[1, 2]]
    """
    sure = confidence >= threshold
    sure[..., -1] = True
    return sure.argmax(axis=-1)


def at_budget(
    accuracy: Float[np.ndarray, "seed query rung"], tokens: Float[np.ndarray, " rung"], budget: float
) -> Float[np.ndarray, "seed query"]:
    """Expected accuracy of a fixed number of demonstrations at a mean number of tokens: a mixture of the two nearest rungs.

    NaN beyond the longest rung; below the shortest one, that.

    >>> import numpy as np
    >>> at_budget(np.array([[[0.0, 1.0]]]), np.array([10.0, 30.0]), 15.0).tolist()
    [[0.25]]
    """
    if budget > tokens[-1] * (1 + 1e-9):
        return np.full(accuracy.shape[:2], np.nan)
    upper = int(np.clip(np.searchsorted(tokens, budget), 1, len(tokens) - 1)) if len(tokens) > 1 else 0
    lower = max(upper - 1, 0)
    gap = tokens[upper] - tokens[lower]
    share = float(np.clip((budget - tokens[lower]) / gap, 0, 1)) if gap > 0 else 1.0
    return (1 - share) * accuracy[..., lower] + share * accuracy[..., upper]


def adapt(
    accuracy: Float[np.ndarray, "seed query rung"],
    confidence: Float[np.ndarray, "seed query rung"],
    tokens: Float[np.ndarray, "seed query rung"],
    threshold: float,
) -> Adapted:
    """A number by query, and what it is held against.

    `dealt`: the same numbers dealt to the queries of a seed at random, its expectation. `fixed`: one number at as many tokens of
    the prompts that were answered; `fixed_spent`: at as many as all prompts that were tried took.
    """
    rung = first_sure(confidence.copy(), threshold)
    own = rung[..., None]
    shares = np.stack([(rung == n).mean(axis=1) for n in range(accuracy.shape[-1])], axis=-1)[:, None]
    used = np.take_along_axis(tokens, own, -1)[..., 0]
    spent = np.take_along_axis(tokens.cumsum(axis=-1), own, -1)[..., 0]
    means = tokens.mean(axis=(0, 1))
    return Adapted(
        np.take_along_axis(accuracy, own, -1)[..., 0],
        (accuracy * shares).sum(axis=-1),
        at_budget(accuracy, means, float(used.mean())),
        at_budget(accuracy, means, float(spent.mean())),
        used,
        spent,
    )


def add_adapted(data: xr.Dataset, rungs: dict[str, np.ndarray], request: SelectionRequest) -> None:
    """Put accuracy by number of demonstrations, and by threshold, into the dataset.

    Args:
        data: with a coordinate "retrieval".
        rungs: accuracy, confidence and prompt_tokens, [seed, query, retrieval, rung].
        request: ladder, thresholds, level.
    """
    data.coords["k"], data.coords["threshold"] = list(request.ladder), list(request.thresholds)
    level, limits = request.level, (-1.0, 1.0)
    add_estimate(data, "rung_accuracy", ("retrieval", "k"), rungs["accuracy"], level, binary="share")
    data["rung_tokens"] = (("retrieval", "k"), rungs["prompt_tokens"].mean(axis=(0, 1)))
    right, sure, tokens = (rungs[name] for name in ("accuracy", "confidence", "prompt_tokens"))
    made = [
        [adapt(right[:, :, r], sure[:, :, r], tokens[:, :, r], threshold) for threshold in request.thresholds]
        for r in range(len(request.retrievals))
    ]

    def stacked(name: str) -> np.ndarray:
        return np.stack([np.stack([getattr(one, name) for one in row], -1) for row in made], -2)

    axes, own = ("retrieval", "threshold"), stacked("accuracy")
    add_estimate(data, "adaptive_accuracy", axes, own, level, binary="share")
    for name, against in (("above_dealt", "dealt"), ("above_fixed", "fixed"), ("above_spent", "fixed_spent")):
        add_estimate(data, name, axes, own - stacked(against), level, limits=limits)
    data["adaptive_tokens"] = (axes, stacked("tokens").mean(axis=(0, 1)))
    data["spent_tokens"] = (axes, stacked("spent").mean(axis=(0, 1)))
