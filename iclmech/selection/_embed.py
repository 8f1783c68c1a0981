"""Embeddings of texts from the model itself: a state of its residual stream, one vector for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import PromptError
from iclmech.captures import Row, iter_run
from iclmech.models import ICLModel

Pool = Literal["mean", "last"]


def embed(
    model: ICLModel, texts: Sequence[str], layer: int | None = None, pool: Pool = "mean"
) -> Float[Tensor, "text d_model"]:
    """The residual stream after one block, for each text alone behind BOS.

    Args:
        model: whose states are taken.
        texts: each of at least one token, and within the window.
        layer: index of the block (negative ones from the end); by default the middle one.
        pool: "mean" over the text's tokens, BOS left out, or "last" token.

    Raises:
        PromptError: an unknown pool or layer, or a text without tokens.

    >>> import iclmech as icl
    >>> tuple(icl.selection.embed(icl.load_model("icl-mini"), ["good film", "bad"], layer=1).shape)
    (2, 64)
    """
    n = model.shape.n_layers
    layer = n // 2 if layer is None else layer
    if pool not in get_args(Pool) or not -n <= layer < n:
        raise PromptError(
            f"got pool={pool!r}, layer={layer}; expected 'mean' or 'last', and a layer from {-n} to {n - 1}."
        )
    tokens = [list(model.tokenize(text)) for text in texts]
    empty = [text for text, ids in zip(texts, tokens, strict=True) if not ids]
    if empty:
        raise PromptError(f"got the text {empty[0]!r}, which has no tokens; expected at least one. Leave it out.")
    made = torch.zeros(len(tokens), model.shape.d_model)
    for length in sorted({len(ids) for ids in tokens}):
        numbers = [i for i, ids in enumerate(tokens) if len(ids) == length]
        at = tuple(range(length)) if pool == "mean" else (length - 1,)
        rows = [Row(tokens[i], at) for i in numbers]
        for chunk in iter_run(model, [model.bos], rows, ("resid_post",), layers=(layer % n,)):
            states = chunk.values["resid_post"][:, :, 0].float().mean(dim=1).cpu()
            made[torch.tensor([numbers[i] for i in chunk.index])] = states.to(made.dtype)
    return made
