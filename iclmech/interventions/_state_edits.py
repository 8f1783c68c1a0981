"""Edits of states: zero, scale, add, replace, graft.

An edit finds its tokens in the layout of a pass, whatever the pass: prompts run whole, a prefix alone, rows behind a prefix
that was encoded before, on the hooked model or on its plain twin. A prefix is encoded once under every edit that does the
same to it for all rows; one at the query's own tokens leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from iclmech._base import check_sites
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._errors import InterventionError
from ._pass_layout import Layout, Spec, check_heads, check_layers
from ._token_roles import TokenRoles, codes_of

At = str | Sequence[str] | int | Sequence[int] | None
Value = float | Tensor | Mapping[int, Tensor]
_HEADED = ("q", "k", "v", "z")


Change = Callable[[Tensor, int, Sequence[int], Layout], Tensor]  # (selected [n, ...], layer, rows, layout) -> new


class Places:
    """Which tokens of a pass are meant: all (None), absolute positions, or roles.

    Negative positions count from the end of the row's query, whose last token is -1 also where an answer stands behind it.
    """

    def __init__(self, at: At, prompts: PromptSet | None):
        names = [at] if isinstance(at, str | int) else [] if at is None else list(at)
        self.roles = [n for n in names if isinstance(n, str)]
        self.positions = [n for n in names if isinstance(n, int)]
        self.everywhere = at is None
        codes_of(self.roles)
        self._table = TokenRoles(prompts) if self.roles and prompts is not None else None

    @property
    def reach(self) -> int:
        """How far the negative positions count back."""
        return max((-p for p in self.positions if p < 0), default=0)

    @property
    def in_rows(self) -> bool:
        """Whether only tokens of queries are meant (where the rows are as long as `reach`)."""
        own = set(codes_of("query"))
        return not self.everywhere and own.issuperset(codes_of(self.roles)) and all(p < 0 for p in self.positions)

    def find(self, layout: Layout) -> tuple[list[int], list[int]]:
        """(rows, positions within the pass) of the tokens meant."""
        rows, positions = [], []
        for row, length in enumerate(layout.lengths):
            total, end = layout.prefix + length, layout.end(row)
            chosen = set(range(total)) if self.everywhere else {p for p in self.positions if 0 <= p < total}
            if not layout.prefix_alone:
                chosen |= {end + p for p in self.positions if p < 0}
            if self.roles:
                chosen |= set(torch.nonzero(layout.role_table(row, self._table).select(self.roles))[:, 0].tolist())
            mine = sorted(p - layout.first for p in chosen if p >= layout.first)
            rows += [row] * len(mine)
            positions += mine
        return rows, positions


@dataclass(frozen=True)
class StateEdit:
    """An edit of one layer's site in one pass: token `positions[n]` of row `rows[n]` gets `change` of its state."""

    site: str
    layer: int
    rows: list[int]
    positions: list[int]
    heads: list[int] | None
    change: Callable[[Tensor, Sequence[int]], Tensor]  # (selected [n, ...], the row of each) -> new

    def put(self, states: Tensor, at: tuple[Sequence[int], ...], rows: Sequence[int]) -> Tensor:
        """A copy of `states` with the entries at index `at` changed, which belong to `rows`."""
        edited = states.clone()
        index: Any = at
        if self.heads is not None:
            index = (*(torch.tensor(numbers)[:, None] for numbers in at), torch.tensor(self.heads)[None])
        edited[index] = self.change(states[index], rows).to(states.dtype)
        return edited


@dataclass(frozen=True)
class EditSite:
    """A change of one site's state at chosen layers, tokens and heads. Made by `zero`, `scale`, `add`, `replace`, `graft`.

    `by_row`: the change differs from row to row of a run.
    """

    site: str
    change: Change
    places: Places
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    by_row: bool = False

    def splits(self, model: ICLModel, shortest: int = 0) -> bool:
        """Whether a prefix may be encoded apart from its rows, whose queries have `shortest` tokens or more."""
        return self.places.reach <= shortest and (self.places.in_rows or not self.by_row)

    def edits(self, model: ICLModel, layout: Layout) -> list[StateEdit]:
        """What is done in this pass, layer by layer. Raises `InterventionError` for layers or heads that are not there."""
        layers = check_layers(model, self.layers)
        n_heads = model.shape.n_kv_heads if self.site in ("k", "v") else model.shape.n_heads
        heads = check_heads(n_heads, self.heads)
        missing = [layer for layer in layers if model.backend.point(self.site, layer) is None]
        if missing:
            raise InterventionError(
                f"{model.name} has no {self.site} in layer {missing[0]}, so it cannot be edited there."
            )
        rows, positions = self.places.find(layout)
        if not rows:
            return []

        def of_layer(layer: int) -> StateEdit:
            change = partial(_call, self.change, layer, layout)
            return StateEdit(self.site, layer, rows, positions, heads, change)

        return [of_layer(layer) for layer in layers]

    def __call__(self, model: ICLModel, layout: Layout) -> list[Spec]:
        return [(e.site, e.layer, partial(_whole, e)) for e in self.edits(model, layout)]


def _call(change: Change, layer: int, layout: Layout, selected: Tensor, rows: Sequence[int]) -> Tensor:
    return change(selected, layer, rows, layout)


def _whole(edit: StateEdit, tensor: Tensor) -> Tensor:
    return edit.put(tensor, (edit.rows, edit.positions), edit.rows)


def edit_site(
    site: str,
    change: Change,
    layers: Sequence[int] | int | None,
    heads: Sequence[int] | int | None,
    at: At,
    prompts: PromptSet | None,
    by_row: bool = False,
) -> EditSite:
    check_sites((site,))
    if site in ("attn_scores", "attn_pattern"):
        raise InterventionError(f"{site} is not edited as a state; use cut_edges or replace_pattern.")
    if heads is not None and site not in _HEADED:
        raise InterventionError(f"{site} has no heads; heads= goes with {', '.join(_HEADED)}.")
    as_tuple = [(w,) if isinstance(w, int) else None if w is None else tuple(w) for w in (layers, heads)]
    return EditSite(site, change, Places(at, prompts), as_tuple[0], as_tuple[1], by_row)


def _of_tokens(value: Value, site: str) -> bool:
    """Whether a value has an axis of tokens, so that it means other things in passes of other widths."""
    values = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(v, Tensor) and v.ndim > 1 + (site in _HEADED) and v.shape[0] > 1 for v in values)


def _value_at(value: Value, layer: int, like: Tensor) -> Tensor | float:
    if isinstance(value, Mapping):
        if layer not in value:
            raise InterventionError(f"got values for layers {sorted(value)}; none for layer {layer}. Restrict layers=.")
        value = value[layer]
    if not isinstance(value, Tensor):
        return value
    value = value.to(like.device)
    try:
        fits = torch.broadcast_shapes(value.shape, like.shape) == like.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InterventionError(
            f"got a value of shape {tuple(value.shape)}; expected one that broadcasts to {tuple(like.shape)} "
            "(tokens, then heads where the site has them, then width)."
        )
    return value


def zero(
    site: str,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    at: At = None,
    prompts: PromptSet | None = None,
) -> EditSite:
    """Set a site to zero.

    Args:
        site: a state, such as "resid_post" or "z".
        layers, heads: all by default.
        at: names of roles (`ROLE_NAMES`), absolute positions, or None for all tokens. Negative positions count from the end
            of the query, so that -1 is its last token, where the answer is predicted, also while answers are scored.
        prompts: what says which token plays which part; `capture` knows, and only passes of one's own need it.

    Returns:
        An intervention for `capture(..., interventions=[...])` and `placed`.

    >>> edit = zero("z", layers=3, heads=[1], at="s_q")
    """
    return edit_site(site, lambda x, *_: torch.zeros_like(x), layers, heads, at, prompts)


def scale(
    site: str,
    factor: Value,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    at: At = None,
    prompts: PromptSet | None = None,
) -> EditSite:
    """Multiply a site by a number or a tensor that broadcasts. Places as in `zero`; differentiable in `factor`."""
    change = lambda x, layer, *_: x * _value_at(factor, layer, x)  # noqa: E731 - a name for one line
    return edit_site(site, change, layers, heads, at, prompts, _of_tokens(factor, site))


def add(
    site: str,
    value: Value,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    at: At = None,
    prompts: PromptSet | None = None,
) -> EditSite:
    """Add a vector (or one per layer, {layer: vector}) to a site. Places as in `zero`; differentiable in `value`."""
    change = lambda x, layer, *_: x + _value_at(value, layer, x)  # noqa: E731 - a name for one line
    return edit_site(site, change, layers, heads, at, prompts, _of_tokens(value, site))


def replace(
    site: str,
    value: Value,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    at: At = None,
    prompts: PromptSet | None = None,
) -> EditSite:
    """Put a vector (or one per layer) in the place of a site. Places as in `zero`; differentiable in `value`."""

    def change(x: Tensor, layer: int, *_: object) -> Tensor:
        return torch.zeros_like(x) + _value_at(value, layer, x)

    return edit_site(site, change, layers, heads, at, prompts, _of_tokens(value, site))


def graft(
    states: Mapping[int, Tensor],
    site: str,
    *,
    at: At = "s_q",
    heads: Sequence[int] | int | None = None,
    prompts: PromptSet | None = None,
    by: Literal["query", "row"] = "query",
) -> EditSite:
    """Put states of another run in the place of a site: {layer: [query, ...]}, one state per query.

    From `acts = capture(...)`: `{l: acts["resid_post"][:, i] for i, l in enumerate(acts.layers)}`. By default at the
    prediction position, where `capture` reads. `by="query"`: the row of query j of the prompt set gets states[layer][j];
    `by="row"`: row n of the run gets states[layer][n].

    Raises `InterventionError` where rows are no queries (`by="query"`) or there are too few states.
    """

    def change(x: Tensor, layer: int, rows: Sequence[int], layout: Layout) -> Tensor:
        number = [layout.index[row] if by == "row" else layout.queries[row] for row in rows]
        values = states[layer]
        if any(n is None or not 0 <= n < len(values) for n in number):
            raise InterventionError(
                f"got {len(values)} states for rows {number[:8]}; expected one for every query that is run "
                "(by='row' where the rows are not queries of a prompt set)."
            )
        new = values[torch.tensor(number)].to(x.device)
        new = new[:, list(heads) if isinstance(heads, Sequence) else [heads]] if heads is not None else new
        if new.shape != x.shape:
            raise InterventionError(f"got states of shape {tuple(new.shape[1:])}; {site} has {tuple(x.shape[1:])}.")
        return new

    return edit_site(site, change, sorted(states), heads, at, prompts, by_row=True)
