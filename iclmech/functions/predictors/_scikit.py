"""Predictors of scikit-learn, fitted prompt by prompt and prefix by prefix: slow, meant for small sets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from .._prompts import FunctionPrompts


def _fitted(prompts: FunctionPrompts, make: Callable[[], Any]) -> Float64[Tensor, "prompt prefix"]:
    """A fresh estimator for every prompt and prefix; zero behind no pairs."""
    x, y, queries = prompts.x.numpy(), prompts.y.numpy(), prompts.queries.numpy()
    out = torch.zeros_like(prompts.targets)
    for p in range(len(prompts)):
        for n in range(1, prompts.n_examples):
            out[p, n] = float(make().fit(x[p, :n], y[p, :n]).predict(queries[p, n : n + 1])[0])
    return out


def lasso(prompts: FunctionPrompts, alpha: float = 0.1) -> Float64[Tensor, "prompt prefix"]:
    """Least squares with an L1 penalty, without intercept: ‖y - Xw‖² / 2n + α ‖w‖₁ (α beside the mean, unlike ridge's λ).

    >>> import iclmech as icl
    >>> tuple(icl.functions.predictors.lasso(icl.functions.SparseRegression().prompts(2, 4)).shape)
    (2, 4)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _fitted(prompts, lambda: Lasso(alpha=alpha, fit_intercept=False, max_iter=2000))


def tree(prompts: FunctionPrompts, max_depth: int | None = None, seed: int = 0) -> Float64[Tensor, "prompt prefix"]:
    """A regression tree (`DecisionTreeRegressor`)."""
    from sklearn.tree import DecisionTreeRegressor

    return _fitted(prompts, lambda: DecisionTreeRegressor(max_depth=max_depth, random_state=seed))


def boosting(prompts: FunctionPrompts, rounds: int = 50, seed: int = 0) -> Float64[Tensor, "prompt prefix"]:
    """Boosted trees (`GradientBoostingRegressor`), where Garg et al. use XGBoost."""
    from sklearn.ensemble import GradientBoostingRegressor

    return _fitted(prompts, lambda: GradientBoostingRegressor(n_estimators=rounds, random_state=seed))
