"""The words of a learner, and prompts as the rows that a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.captures import LongRows
from iclmech.models import ICLModel
from iclmech.training import soft_rows

from ._errors import FunctionError

if TYPE_CHECKING:
    from ._family import Family
else:
    Family = Any  # the prompts of families import this module


def vocabulary_of(family: Family) -> list[str]:
    """The words of a learner of this family, BOS first: `x1 … xd, y` of soft tokens, or one for each symbol.

    >>> from iclmech.functions import LinearRegression
    >>> vocabulary_of(LinearRegression(d=2))
    ['<bos>', 'x1', 'x2', 'y']
    """
    if family.kind == "symbols":
        return ["<bos>", *(f"s{n}" for n in range(family.input_size))]
    return ["<bos>", *(f"x{n}" for n in range(1, family.input_size + 1)), "y"]


def embedding_table(model: ICLModel) -> Float[Tensor, "token d_model"]:
    """The embedding matrix as the model uses it, without positions."""
    ids = torch.arange(model.shape.d_vocab, device=model.device)[None]
    with torch.no_grad():
        return model.backend.embed(ids)[0].detach()


def long_rows(model: ICLModel, prompts: Any) -> LongRows:
    """Prompts as a model reads them, and where answers are read off: behind 0 … n_examples − 1 pairs.

    Raises:
        FunctionError: the model has another vocabulary than the family.
    """
    check_fits(model, prompts.family)
    n = prompts.n_examples
    if prompts.family.kind == "symbols":
        return LongRows([0], (prompts.tokens + 1).tolist(), {"queries": tuple(range(n)), "last": (n - 1,)})
    rows = soft_rows(embedding_table(model), prompts.x, prompts.y)
    places = {"queries": tuple(range(0, 2 * n, 2)), "values": tuple(range(1, 2 * n, 2)), "last": (2 * n - 2,)}
    return LongRows([0], list(rows), places)


def check_fits(model: ICLModel, family: Family) -> None:
    """Raise `FunctionError` for a model whose vocabulary is not that of the family."""
    words = len(vocabulary_of(family))
    if model.shape.d_vocab != words:
        raise FunctionError(
            f"{model.name} has {model.shape.d_vocab} tokens, and {family.name} of this size needs {words}: "
            f"{', '.join(vocabulary_of(family)[:3])}, …. Take a family of the dimension that the model was trained on."
        )
