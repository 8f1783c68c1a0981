"""Induction heads on repeated random tokens: prefix matching and copying."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ._states import AnalysisError


def prefix_matching(
    pattern: Float[Tensor, "row layer head query key"], length: int, *, start: int = 0, offset: int = 1
) -> Float[Tensor, "row layer head"]:
    """Mean of A[t, t - n + offset] over the second copy of a sequence of n random tokens that stands twice.

    `start`: position of the first token of the first copy (1 behind a BOS). `offset=1` is the standard test: attention to
    the token *after* the earlier occurrence of the present one; 0 is a duplicate-token head, 2 one that reads a token
    further on. The last token of the second copy has no continuation for offset 2, so it is left out there.
    Source: Olsson et al. 2022; the mean is over all tokens of the second copy.
    """
    second = range(start + length, start + 2 * length)
    pairs = [(t, t - length + offset) for t in second if offset <= 1 or t - length + offset < start + length]
    if pattern.shape[-1] < start + 2 * length or not pairs or length < 2:
        raise AnalysisError(
            f"got patterns over {pattern.shape[-1]} keys; expected at least {start + 2 * length}: start + twice the length."
        )
    return torch.stack([pattern[..., t, key] for t, key in pairs]).mean(dim=0)


def copying(
    by_head: Float[Tensor, "position layer head d_model"],
    w_u: Float[Tensor, "d_model d_vocab"],
    attended: Int[Tensor, " position"],
) -> Float[Tensor, "position layer head"]:
    """How much each head's output raises the token it should copy: its direct logit minus the mean over the vocabulary.

    `by_head`: what each head writes (`attention_by_head`); `attended`: the token to be copied at each position. The final
    norm is left out, so the numbers have the scale of the residual stream: compare heads of one model.
    Source: after Olsson et al. 2022.
    """
    target = torch.einsum("plhm,mp->plh", by_head, w_u[:, attended])
    return target - torch.einsum("plhm,m->plh", by_head, w_u.mean(dim=1))
