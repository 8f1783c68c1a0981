"""In-context n-grams."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from .._errors import FunctionError
from .._prompts import FunctionPrompts


def ngram(prompts: FunctionPrompts, n: int = 3, alpha: float = 1.0) -> Float64[Tensor, "prompt prefix symbol"]:
    """The next id by the n-grams of the prompt so far, shorter ones filling in: p_m(s) = (count_m(s) + α p_{m-1}(s)) / (count_m + α).

    count_m: how often the last m - 1 ids stood before in the prompt, and were followed by s (for m = 1, whatever stands
    before s; the first id follows nothing and is not counted); p_0 is even. Contexts run over
    the ends of strings.

    Args:
        prompts: of a family of symbols.
        n: longest n-gram: 1 counts ids alone.
        alpha: α, how many observations the shorter n-grams weigh.

    Source: in-context n-grams as in Akyürek et al., arXiv 2401.12973; the interpolation is that of Jelinek and Mercer with
    Dirichlet weights.

    >>> import iclmech as icl
    >>> prompts = icl.functions.Automata().prompts(4, 20)
    >>> tuple(icl.functions.predictors.ngram(prompts, n=2).shape)
    (4, 20, 9)
    """
    if prompts.family.kind != "symbols" or n < 1 or not alpha > 0:
        raise FunctionError(
            f"got {prompts.family.name}, n={n}, alpha={alpha}; expected a family of symbols, n of 1 or more, alpha above 0."
        )
    read, follower = prompts.tokens, prompts.y.long()
    length, ids = read.shape[1], prompts.d
    follows = torch.nn.functional.one_hot(follower, ids).double()
    same = torch.ones(length, length, dtype=torch.bool).tril(-1).expand(len(read), -1, -1)  # [prompt, now, before]
    equal = read[:, :, None] == read[:, None, :]
    share = torch.full(follows.shape, 1 / ids, dtype=torch.float64)
    for m in range(1, n + 1):
        if m > 1:  # the m - 1 ids up to here are alike: those up to one earlier were, and these are
            shifted = torch.zeros_like(equal)
            back = m - 2
            shifted[:, back:, back:] = equal[:, : length - back, : length - back]
            same = same & shifted
        counts = same.double() @ follows
        share = (counts + alpha * share) / (counts.sum(dim=-1, keepdim=True) + alpha)
    return share
