"""Attention with momentum: a moving average of past values beside the attention output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng
from iclmech.models import ICLModel

from ._attention_edits import AttentionEdit, LayerEdit
from ._errors import InterventionError
from ._pass_layout import Layout, check_heads, check_layers


@dataclass(frozen=True)
class MomentumAttention(AttentionEdit):
    """Adds weights of past values to the pattern. Made by `momentum_attention`."""

    eta: float
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    shuffled: bool
    seed: int

    def splits(self, model: ICLModel) -> bool:
        """Never: the values of the whole sequence are averaged."""
        return False

    def edits(self, model: ICLModel, layout: Layout) -> list[LayerEdit]:
        """A pattern edit for every layer."""
        heads = check_heads(model.shape.n_heads, self.heads)
        chosen = list(range(model.shape.n_heads)) if heads is None else heads
        weights = momentum_weights(layout.width, self.eta, self.seed if self.shuffled else None)[layout.first :]

        def edit(pattern: Tensor) -> Tensor:
            edited = pattern.clone()
            edited[:, chosen] = pattern[:, chosen] + weights.to(pattern.device, pattern.dtype)
            return edited

        return [LayerEdit(layer, "pattern", edit) for layer in check_layers(model, self.layers)]


def momentum_weights(n: int, eta: float, seed: int | None = None) -> Float[Tensor, "query key"]:
    """η^(t−i) for every key i before token t, else 0; with `seed`, each row's weights in random order over these keys.

    >>> momentum_weights(3, 0.5).tolist()
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.25, 0.5, 0.0]]
    """
    at = torch.arange(n)
    distance = at[:, None] - at
    weights = torch.where(distance > 0, torch.tensor(eta, dtype=torch.float64) ** distance.clamp(min=0), 0.0).float()
    if seed is not None:
        for t in range(1, n):
            weights[t, :t] = weights[t, torch.randperm(t, generator=rng(seed, f"shuffled values {t}"))]
    return weights


def momentum_attention(
    eta: float,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    shuffled: bool = False,
    seed: int = 0,
) -> MomentumAttention:
    """Add an exponential moving average of past values to the output of attention: z_t + Σ_{i<t} η^(t−i) v_i.

    If attention to demonstrations is a step of gradient descent, this is what momentum would be. A model that was not trained
    with it bears little of it: choose η on training queries.

    Args:
        eta: between 0 and 1.
        layers, heads: all by default.
        shuffled: the control: the same weights on past values in random order, another for every token.
        seed: of that order.

    Returns:
        An intervention for `capture(..., interventions=[...])`; prompts are run whole under it.

    Raises:
        InterventionError: η outside (0, 1).

    Source: Dai et al. (arXiv 2212.10559), section 5; there the models are trained with it.

    >>> edit = momentum_attention(0.1, layers=[2, 3])
    """
    if not 0 < eta < 1:
        raise InterventionError(f"got eta={eta}; expected a number between 0 and 1.")
    as_tuple = [(w,) if isinstance(w, int) else None if w is None else tuple(w) for w in (layers, heads)]
    return MomentumAttention(float(eta), as_tuple[0], as_tuple[1], shuffled, seed)
