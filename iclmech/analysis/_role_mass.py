"""How much attention the prediction token pays to each part of the prompt, and tables of heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ._states import AnalysisError, site_of

if TYPE_CHECKING:
    import pandas as pd

MASS_ROLES = ("bos", "text", "forerunner", "label", "separator", "own")
"""Parts of a prompt: BOS; text (with template), forerunners, labels and separators of the demonstrations; the query's
own tokens."""
_OF_SPAN = {"bos": 0, "text": 1, "template": 1, "forerunner": 2, "label": 3, "separator": 4}


def role_mass(acts: Any, prompts: Any) -> Float[Tensor, "query layer head role"]:
    """Attention of the recorded token on each of `MASS_ROLES`; sums to 1.

    Args: `acts` hold "attn_pattern" and "context_pattern" of `prompts`. In the zero-shot and fine-tuned settings, what
    stands before the query is BOS alone.
    Raises: `AnalysisError` if the activations do not fit the prompts.
    """
    own, before = site_of(acts, "attn_pattern"), site_of(acts, "context_pattern")
    mass = torch.zeros(*own.shape[:3], len(MASS_ROLES), dtype=own.dtype)
    mass[..., MASS_ROLES.index("own")] = own.nan_to_num().sum(dim=-1)
    for j, query in enumerate(prompts.queries):
        context, width = prompts.contexts[query.context], before.shape[-1]
        if width == 1:  # BOS alone
            mass[j, ..., 0] = before[j, ..., 0]
            continue
        if len(context.tokens) > width:
            raise AnalysisError(
                f"got patterns over {width} context tokens for a context of {len(context.tokens)}; expected the activations "
                "of these prompts."
            )
        index = torch.zeros(width, dtype=torch.long)
        for span in context.spans:
            index[span.start : span.stop] = _OF_SPAN[span.role]
        mass[j].index_add_(-1, index, before[j].nan_to_num())
    return mass


ALLOCATION = ("bos", "context", "query")
"""Parts of `allocation`: BOS apart, the demonstrations with their separators, the query's own tokens."""


def allocation(mass: Float[Tensor, "*rest role"]) -> Float[Tensor, "*rest part"]:
    """Attention on BOS, on the demonstrations and on the query, from `role_mass`; sums to 1.

    BOS stands apart because many heads rest on it when they have nothing to do: contrasts of context and query are best made
    of what is left, context / (context + query).
    Source: Wang et al., arXiv 2411.02688, who measure the share on the user's context.

    >>> allocation(torch.tensor([0.5, 0.1, 0.1, 0.1, 0.0, 0.2])).round(decimals=2).tolist()
    [0.5, 0.3, 0.2]
    """
    return torch.stack([mass[..., 0], mass[..., 1:5].sum(dim=-1), mass[..., 5]], dim=-1)


def context_share(mass: Float[Tensor, "*rest role"]) -> Float[Tensor, "*rest"]:
    """Share of the attention off BOS that lies on the demonstrations; NaN where all of it rests on BOS."""
    _, context, query = allocation(mass).unbind(dim=-1)
    total = context + query
    return torch.where(total > 1e-6, context / total, torch.nan)


def head_table(
    measures: Mapping[str, Float[Tensor, "layer head"]], sort_by: str | None = None, ascending: bool = False
) -> pd.DataFrame:
    """A row for every head, a column for every measure, the largest of `sort_by` (default: the first) on top.

    Raises: `AnalysisError` for measures of different shapes or an unknown column.
    """
    import pandas as pd

    shapes = {tuple(value.shape) for value in measures.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise AnalysisError(f"got measures of shapes {sorted(shapes)}; expected one shape [layer, head] for all.")
    sort_by = next(iter(measures)) if sort_by is None else sort_by
    if sort_by not in measures:
        raise AnalysisError(f"got sort_by={sort_by!r}; expected one of {', '.join(measures)}.")
    n_layers, n_heads = next(iter(shapes))
    table = pd.DataFrame(
        {
            "layer": [layer for layer in range(n_layers) for _ in range(n_heads)],
            "head": list(range(n_heads)) * n_layers,
            **{name: value.double().reshape(-1).tolist() for name, value in measures.items()},
        }
    )
    return table.sort_values(sort_by, ascending=ascending, kind="stable", ignore_index=True)
