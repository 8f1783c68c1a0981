"""Rows to run, chunks of what was seen, and the names of the ways there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.models import ICLModel

Path = Literal["auto", "fast", "cached", "uncached"]


@dataclass(frozen=True)
class Row:
    """One row after the prefix: token ids or embeddings, and the positions in it (own indices) that are recorded.

    `query`: which query of the prompt set it is, where it is one (interventions ask for it).
    """

    tokens: Sequence[int] | Float[Tensor, "position d_model"]
    at: tuple[int, ...]
    query: int | None = None


@dataclass(frozen=True)
class Chunk:
    """States of some rows at their recorded positions.

    `index`: which rows. `values`: [row, at, layer, ...], attention [row, at, layer, head, key] over prefix + own tokens.
    `prefix`: number of keys that belong to the prefix. `lengths`: own tokens of each row (keys beyond them are padding).
    """

    index: tuple[int, ...]
    values: dict[str, Tensor]
    prefix: int
    lengths: tuple[int, ...]


def check_rows(model: ICLModel, prefix: Sequence[int], rows: Sequence[Row]) -> None:
    if not prefix:
        raise CaptureError("the prefix is empty; a prompt starts with BOS at least.")
    longest = max((len(row.tokens) for row in rows), default=0)
    if len(prefix) + longest > model.shape.n_ctx:
        raise CaptureError(
            f"a prompt of {len(prefix)} + {longest} tokens does not fit the window of {model.shape.n_ctx} of {model.name}. "
            "Build the prompts for this model with iclmech.build_prompts, or ask for fewer demonstrations."
        )
    for number, row in enumerate(rows):
        if any(not 0 <= at < len(row.tokens) for at in row.at):
            raise CaptureError(f"row {number} is recorded at {row.at} but has {len(row.tokens)} tokens.")
