"""Predictors by name, with the families that each is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from .._boolean import Boolean
from .._errors import FunctionError
from .._family import Family
from .._priors import TaskPool
from .._prompts import FunctionPrompts
from ._descent import gd, gd_plus_plus, newton
from ._least_squares import averaging, mean_y, ols, ridge, zero
from ._neighbours import knn
from ._ngrams import ngram
from ._posteriors import bayes, consistent, dmmse
from ._scikit import boosting, lasso, tree

PREDICTORS: dict[str, Callable[..., Any]] = {
    "zero": zero,
    "mean_y": mean_y,
    "averaging": averaging,
    "ols": ols,
    "ridge": ridge,
    "gd": gd,
    "gd_plus_plus": gd_plus_plus,
    "newton": newton,
    "knn": knn,
    "lasso": lasso,
    "tree": tree,
    "boosting": boosting,
    "bayes": bayes,
    "dmmse": dmmse,
    "consistent": consistent,
    "ngram": ngram,
}
"""Name → function of prompts and, by keyword, of its own settings."""


def applies(name: str, family: Family) -> bool:
    """Whether a predictor can be asked about a family with its defaults."""
    if family.kind == "symbols":
        return name == "ngram" or (name == "bayes" and bool(getattr(family, "pool", 0)))
    if name in ("ngram", "dmmse", "consistent"):
        return {"ngram": False, "dmmse": isinstance(family, TaskPool), "consistent": isinstance(family, Boolean)}[name]
    if family.kind == "binary":
        return name in ("zero", "mean_y", "knn", "tree", "bayes")
    return name != "ridge" or family.sigma > 0


def predict(name: str, prompts: FunctionPrompts, **settings: Any) -> Float64[Tensor, "prompt prefix *symbol"]:
    """What the predictor of this name answers.

    Args:
        name: one of `PREDICTORS`; a number behind a dash sets what it is mostly varied by: "gd-64", "newton-10", "knn-1",
            "ngram-2" (steps, neighbours, n), "ridge-0.5" (λ), "lasso-0.1" (α).
        prompts: rows of pairs.
        settings: of the predictor.

    Raises:
        FunctionError: no such predictor.

    >>> import torch, iclmech as icl
    >>> prompts = icl.functions.LinearRegression(noise=0.5).prompts(4, 6)
    >>> torch.equal(icl.functions.predictors.predict("ridge-0.25", prompts), icl.functions.predictors.ridge(prompts, 0.25))
    True
    """
    base, _, number = name.partition("-")
    varied = {"gd": "steps", "gd_plus_plus": "steps", "newton": "steps", "knn": "k", "ngram": "n"}
    real = {"ridge": "lam", "lasso": "alpha"}
    if base not in PREDICTORS or (number and base not in {**varied, **real}):
        raise FunctionError(
            f"got the predictor {name!r}; known are {', '.join(PREDICTORS)}, some with a number: gd-64."
        )
    try:
        if number:
            settings = (
                {varied[base]: int(number), **settings} if base in varied else {real[base]: float(number), **settings}
            )
    except ValueError as error:
        raise FunctionError(f"got the predictor {name!r}; expected a number behind the dash, as in gd-64.") from error
    return PREDICTORS[base](prompts, **settings)
