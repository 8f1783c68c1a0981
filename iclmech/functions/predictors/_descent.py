"""Predictors that iterate: gradient descent, GD++, Newton's method for the inverse."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from .._errors import FunctionError
from .._prompts import FunctionPrompts
from ._learning_rates import best_gd, best_gd_plus_plus
from ._least_squares import at_queries
from ._steps import Rate, gd_plus_plus_steps, gd_steps, newton_steps


def gd_weights(prompts: FunctionPrompts, steps: int, eta: Rate) -> Float64[Tensor, "prompt prefix d"]:
    """Weights after `steps` steps from zero of w ← w - η/n Σ (w·x_i - y_i) x_i."""
    _enough(steps)
    return gd_steps(prompts, steps, eta)


def gd(prompts: FunctionPrompts, steps: int = 1, eta: Rate | None = None) -> Float64[Tensor, "prompt prefix"]:
    """Gradient descent from zero on the mean squared error of the pairs, halved: w ← w - η/n Σ (w·x_i - y_i) x_i.

    Early-stopped descent shrinks as ridge does: nearness to it says little unless it beats the ridge of every λ.

    Args:
        prompts: rows of pairs.
        steps: how many.
        eta: η, one number or one for each prefix; by default the best for the family, `best_gd`.

    Source: von Oswald et al., arXiv 2212.07677 (they divide by a fixed N; n makes η alike over prefixes).
    """
    return at_queries(prompts, gd_weights(prompts, steps, best_gd(prompts, steps) if eta is None else eta))


def gd_plus_plus(
    prompts: FunctionPrompts, steps: int = 2, eta: Rate | None = None, gamma: Rate | None = None
) -> Float64[Tensor, "prompt prefix"]:
    """GD++: each step of descent also transforms all inputs, and what is asked, x ← x - γ/n Σ x_i (x_i·x), from the old ones.

    Args:
        prompts: rows of pairs.
        steps: how many.
        eta: η.
        gamma: γ, over n as η is (von Oswald et al. do not divide theirs). Left out, the best pair for the family.

    Source: von Oswald et al., arXiv 2212.07677.
    """
    _enough(steps)
    if eta is None or gamma is None:
        eta, gamma = best_gd_plus_plus(prompts, steps)
    return gd_plus_plus_steps(prompts, steps, eta, gamma)


def newton(prompts: FunctionPrompts, steps: int = 6, lam: float | None = None) -> Float64[Tensor, "prompt prefix"]:
    """w = M X'y with M from `steps` iterations of M ← 2M - M S M, S = X'X + λI, from M = S / ‖S‖²₂: towards the inverse of S.

    Args:
        prompts: rows of pairs.
        steps: how many; 0 is S X'y, scaled.
        lam: λ; σ² of the family by default. At 0 the iteration goes to the pseudo-inverse.

    Source: Fu et al., arXiv 2310.17086 (at twice this start, the end of its range, the largest eigenvalue would never settle).
    """
    _enough(steps + 1)
    return at_queries(prompts, newton_steps(prompts, steps, prompts.family.sigma**2 if lam is None else lam))


def _enough(steps: int) -> None:
    if steps < 1:
        raise FunctionError(f"got {steps} steps; expected one or more.")
