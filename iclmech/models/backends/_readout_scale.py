"""What some families do to the logits behind the unembedding: a scale, a division, a soft cap."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from .._scores import capped


def final_logits(logits: Float[Tensor, "... d_vocab"], config: Any) -> Float[Tensor, "... d_vocab"]:
    """The logits that the model gives out, from the product with its unembedding.

    Args:
        logits: unembed(final norm(residual state)).
        config: the transformers config, or None for a model without one.

    Returns:
        `logits · logit_scale` (Cohere), `logits / logits_scaling` (Granite), and under a soft cap at
        `final_logit_softcapping` (Gemma 2, VaultGemma); `logits` themselves for all other families.
    """
    scale = getattr(config, "logit_scale", None)
    divisor = getattr(config, "logits_scaling", None)
    cap = getattr(config, "final_logit_softcapping", None)
    if isinstance(scale, int | float) and scale != 1:
        logits = logits * scale
    if isinstance(divisor, int | float) and divisor != 1:
        logits = logits / divisor
    return capped(logits, float(cap)) if cap else logits
