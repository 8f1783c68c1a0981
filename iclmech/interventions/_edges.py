"""Sets of attention edges: by the roles of tokens, or by positions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from iclmech._base import digest, rng
from iclmech.tasks import PromptSet

from ._errors import InterventionError
from ._pass_layout import Layout
from ._token_roles import RoleTable, TokenRoles, codes_of


@dataclass(frozen=True)
class EdgeRows:
    """Edges of one pass, by destination: token `at` (absolute) of row `row` reads `keys`. Never a self edge."""

    row: Int[Tensor, " edge_row"]
    at: Int[Tensor, " edge_row"]
    keys: Bool[Tensor, "edge_row key"]

    def __len__(self) -> int:
        return len(self.row)

    def within(self, window: int | None) -> Bool[Tensor, "edge_row key"]:
        """The edges that a layer with this attention window has."""
        if window is None:
            return self.keys
        key = torch.arange(self.keys.shape[1])
        return self.keys & (key > self.at[:, None] - window)

    def others(self, window: int | None) -> Bool[Tensor, "edge_row key"]:
        """The other causal edges of the same destinations in such a layer, self edges left out."""
        key = torch.arange(self.keys.shape[1])
        allowed = key < self.at[:, None]
        if window is not None:
            allowed = allowed & (key > self.at[:, None] - window)
        return allowed & ~self.keys


@runtime_checkable
class EdgeSet(Protocol):
    """Says which edges it means in a pass."""

    def rows(self, layout: Layout) -> EdgeRows:
        """Destinations that this pass computes, with the keys concerned."""
        ...


def edge_rows(rows: Sequence[int], at: Sequence[int], keys: Sequence[Tensor], width: int) -> EdgeRows:
    """Join lists into `EdgeRows`; keys are padded to `width`."""
    padded = [torch.nn.functional.pad(k, (0, width - len(k))) for k in keys]
    stacked = torch.stack(padded) if padded else torch.zeros(0, width, dtype=torch.bool)
    return EdgeRows(torch.tensor(list(rows), dtype=torch.long), torch.tensor(list(at), dtype=torch.long), stacked)


class RoleEdges:
    """Edges from tokens of one role to tokens of another, in sequences of a prompt set (None: the one that is run).

    Where both ends lie in demonstrations, only edges within one and the same demonstration are meant (`across=False`).
    """

    def __init__(
        self,
        prompts: PromptSet | None,
        source: str | Sequence[str],
        destination: str | Sequence[str],
        *,
        across: bool = False,
    ):
        for names in (source, destination):
            codes_of(names)  # refuse unknown names now
        self.source, self.destination, self.across = source, destination, across
        self._roles = TokenRoles(prompts) if prompts is not None else None
        self._known: dict[Hashable, tuple[list[int], list[Tensor]]] = {}

    def rows(self, layout: Layout) -> EdgeRows:
        """Destinations that this pass computes, with the keys concerned."""
        rows, at, keys = [], [], []
        for row in range(len(layout.lengths)):
            where, which = self._of_row(layout, row)
            rows += [row] * len(where)
            at += where
            keys += which
        return edge_rows(rows, at, keys, layout.width)

    def _of_row(self, layout: Layout, row: int) -> tuple[list[int], list[Tensor]]:
        if layout.prefix_table is not None or any(table is not None for table in layout.tables[row : row + 1]):
            return self._of_table(layout.role_table(row), layout.first)
        name = (self._roles or layout.roles, layout.sequence(row), layout.first)
        if name not in self._known:
            self._known[name] = self._of_table(layout.role_table(row, self._roles), layout.first)
        return self._known[name]

    def _of_table(self, table: RoleTable, first: int) -> tuple[list[int], list[Tensor]]:
        source, position = table.select(self.source), torch.arange(len(table.codes))
        where, which = [], []
        for at in torch.nonzero(table.select(self.destination))[:, 0].tolist():
            keys = source & (position < at)
            if not self.across and table.owner[at] >= 0:
                keys = keys & (table.owner == table.owner[at])
            if at >= first and keys.any():
                where.append(at)
                which.append(keys)
        return where, which


class PositionEdges:
    """Edges (query position, key position) by absolute position, the same in every row."""

    def __init__(self, pairs: Sequence[tuple[int, int]]):
        wrong = [(at, key) for at, key in pairs if not 0 <= key < at]
        if wrong:
            raise InterventionError(
                f"got the edge {wrong[0]} (query position, key position); expected a key before the query: "
                "attention is causal, and a self edge is never cut."
            )
        self.pairs = list(pairs)

    def rows(self, layout: Layout) -> EdgeRows:
        """Destinations that this pass computes, with the keys concerned."""
        by_query: dict[int, list[int]] = {}
        for at, key in self.pairs:
            by_query.setdefault(at, []).append(key)
        rows, where, keys = [], [], []
        for row, length in enumerate(layout.lengths):
            for at, which in by_query.items():
                if layout.first <= at < layout.prefix + length:
                    chosen = torch.zeros(layout.width, dtype=torch.bool)
                    chosen[which] = True
                    rows.append(row)
                    where.append(at)
                    keys.append(chosen)
        return edge_rows(rows, where, keys, layout.width)


def draws(rows: EdgeRows, layout: Layout, seed: int, purpose: str) -> Float[Tensor, "edge_row key"]:
    """A uniform random number for every key before each destination, inf elsewhere.

    It depends on `seed` and on the tokens up to the destination only, so it is the same however a run is cut into passes.
    """
    out = torch.full(rows.keys.shape, float("inf"))
    known: dict[object, Tensor] = {}
    prefix = digest(layout.prefix_tokens)
    for n, (row, at) in enumerate(zip(rows.row.tolist(), rows.at.tolist(), strict=True)):
        own = layout.tokens[row] if row < len(layout.tokens) else None
        name: tuple[object, ...] = (at,)
        if at >= layout.prefix:
            name = (at, own[: at - layout.prefix + 1] if own is not None else layout.index[row])
        if name not in known:
            known[name] = torch.rand(at, generator=rng(seed, f"{purpose} {prefix} {digest(name)}"))
        out[n, :at] = known[name]
    return out
