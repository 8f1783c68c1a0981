"""Rows to run, what is asked of them, and chunks of what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.interventions import Intervention, RoleTable, TokenRoles
from iclmech.models import ICLModel

Path = Literal["auto", "fast", "cached", "uncached"]
Tokens = Sequence[int] | Float[Tensor, "_position d_model"]  # rows differ in length
"""Token ids, or embeddings in their place."""


@dataclass(frozen=True)
class Row:
    """One row after the prefix: token ids or embeddings, and the positions in it (own indices) that are recorded.

    `query`: which query of the prompt set it is, where it is one (interventions ask for it). `answer`: how many of its
    last tokens are an answer put behind the query. `roles`: what each of its tokens is, for interventions that go by roles
    where the ids do not tell.
    """

    tokens: Tokens
    at: tuple[int, ...]
    query: int | None = None
    answer: int = 0
    roles: RoleTable | None = None


@dataclass(frozen=True)
class Chunk:
    """States of some rows at their recorded positions.

    `index`: which rows. `values`: [row, at, layer, ...], attention [row, at, layer, head, key] over prefix + own tokens.
    `prefix`: number of keys that belong to the prefix. `lengths`: own tokens of each row (keys beyond them are padding).
    `layers`: index of each entry of the layer axis.
    """

    index: tuple[int, ...]
    values: dict[str, Tensor]
    prefix: int
    lengths: tuple[int, ...]
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job:
    """Rows behind one prefix, what is recorded, and what is changed on the way."""

    prefix: Tokens
    rows: Sequence[Row]
    sites: Sequence[str]
    layers: Sequence[int] = ()
    interventions: Sequence[Intervention] = ()
    first_position: int | None = None
    grad: bool = False
    roles: TokenRoles | None = None
    prefix_roles: RoleTable | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return len(self.prefix) + max((len(row.tokens) for row in self.rows), default=0)

    @property
    def shortest_query(self) -> int:
        """Tokens of the shortest query, answers behind it left out."""
        return min((len(row.tokens) - row.answer for row in self.rows), default=0)


def ids_of(tokens: Tokens) -> tuple[int, ...] | None:
    """Token ids, or None for embeddings."""
    return None if isinstance(tokens, Tensor) else tuple(tokens)


def check_job(model: ICLModel, job: Job) -> None:
    """Raise `CaptureError` for an empty prefix, prompts longer than the window, or positions that are not there."""
    if not len(job.prefix):
        raise CaptureError("the prefix is empty; a prompt starts with BOS at least.")
    if job.longest > model.shape.n_ctx:
        raise CaptureError(
            f"a prompt of {len(job.prefix)} + {job.longest - len(job.prefix)} tokens does not fit the window of "
            f"{model.shape.n_ctx} of {model.name}. "
            "Build the prompts for this model with iclmech.build_prompts, or ask for fewer demonstrations."
        )
    for number, row in enumerate(job.rows):
        if any(not 0 <= at < len(row.tokens) for at in row.at):
            raise CaptureError(f"row {number} is recorded at {row.at} but has {len(row.tokens)} tokens.")
        if row.roles is not None and len(row.roles.codes) != len(row.tokens):
            raise CaptureError(f"row {number} has {len(row.tokens)} tokens and roles of {len(row.roles.codes)}.")
    if job.prefix_roles is not None and len(job.prefix_roles.codes) != len(job.prefix):
        raise CaptureError(f"the prefix has {len(job.prefix)} tokens and roles of {len(job.prefix_roles.codes)}.")
