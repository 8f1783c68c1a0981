"""Edits of states: zero, scale, add, replace, graft; and replaced attention patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from iclmech._base import check_sites
from iclmech.models import HookFn, ICLModel
from iclmech.tasks import PromptSet

from ._attention_edits import AttentionEdit, LayerEdit
from ._pass_layout import InterventionError, Layout, Spec, check_heads, check_layers
from ._token_roles import TokenRoles, codes_of

At = str | Sequence[str] | int | Sequence[int] | None
Value = float | Tensor | Mapping[int, Tensor]
_HEADED = ("q", "k", "v", "z")


class Places:
    """Which tokens of a pass are meant: all (None), absolute positions (negative: from the row's end), or roles."""

    def __init__(self, at: At, prompts: PromptSet | None):
        names = [at] if isinstance(at, str | int) else [] if at is None else list(at)
        self.roles = [n for n in names if isinstance(n, str)]
        self.positions = [n for n in names if isinstance(n, int)]
        self.everywhere = at is None
        codes_of(self.roles)
        if self.roles and prompts is None:
            raise InterventionError(f"at={at!r} goes by roles; give prompts=, the prompt set that will be run.")
        self._table = TokenRoles(prompts) if self.roles and prompts is not None else None

    def find(self, layout: Layout) -> tuple[list[int], list[int]]:
        """(rows, positions within the pass) of the tokens meant."""
        rows, positions = [], []
        for row, length in enumerate(layout.lengths):
            total = layout.prefix + length
            chosen = set(range(total)) if self.everywhere else set()
            chosen |= {p % total if -total <= p < total else -1 for p in self.positions}
            if self._table is not None:
                chosen |= set(torch.nonzero(self._table.table(layout.sequence(row)).select(self.roles))[:, 0].tolist())
            mine = sorted(p - layout.first for p in chosen if p >= layout.first)
            rows += [row] * len(mine)
            positions += mine
        return rows, positions


@dataclass(frozen=True)
class EditSite:
    """A change of one site's state at chosen layers, tokens and heads. Made by `zero`, `scale`, `add`, `replace`, `graft`."""

    site: str
    change: Callable[[Tensor, int, Sequence[int], Layout], Tensor]  # (selected [n, ...], layer, rows, layout) -> new
    places: Places
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None

    def __call__(self, model: ICLModel, layout: Layout) -> list[Spec]:
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
        return [(self.site, layer, self._hook(layer, rows, positions, heads, layout)) for layer in layers]

    def _hook(
        self, layer: int, rows: list[int], positions: list[int], heads: list[int] | None, layout: Layout
    ) -> HookFn:
        def hook(tensor: Tensor) -> Tensor:
            edited = tensor.clone()
            if heads is None:
                edited[rows, positions] = self.change(tensor[rows, positions], layer, rows, layout).to(tensor.dtype)
            else:
                index = (torch.tensor(rows)[:, None], torch.tensor(positions)[:, None], torch.tensor(heads)[None])
                edited[index] = self.change(tensor[index], layer, rows, layout).to(tensor.dtype)
            return edited

        return hook


def _edit(
    site: str,
    change: Callable[[Tensor, int, Sequence[int], Layout], Tensor],
    layers: Sequence[int] | int | None,
    heads: Sequence[int] | int | None,
    at: At,
    prompts: PromptSet | None,
) -> EditSite:
    check_sites((site,))
    if site in ("attn_scores", "attn_pattern"):
        raise InterventionError(f"{site} is not edited as a state; use cut_edges or replace_pattern.")
    if heads is not None and site not in _HEADED:
        raise InterventionError(f"{site} has no heads; heads= goes with {', '.join(_HEADED)}.")
    as_tuple = [(w,) if isinstance(w, int) else None if w is None else tuple(w) for w in (layers, heads)]
    return EditSite(site, change, Places(at, prompts), as_tuple[0], as_tuple[1])


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
    """Set a site to zero. `at`: roles (with `prompts`), absolute positions (negative: from the end), None for all."""
    return _edit(site, lambda x, *_: torch.zeros_like(x), layers, heads, at, prompts)


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
    return _edit(site, lambda x, layer, *_: x * _value_at(factor, layer, x), layers, heads, at, prompts)


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
    return _edit(site, lambda x, layer, *_: x + _value_at(value, layer, x), layers, heads, at, prompts)


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

    return _edit(site, change, layers, heads, at, prompts)


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
    prediction position, where `capture` reads (give `prompts`). `by="query"`: the row of query j of the prompt set gets states[layer][j];
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

    return _edit(site, change, sorted(states), heads, at, prompts)


@dataclass(frozen=True)
class ReplacePattern(AttentionEdit):
    """Puts other attention in the place of the model's. Made by `replace_pattern`."""

    pattern: Tensor | Mapping[int, Tensor] | Callable[[Tensor, Layout], Tensor]
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None

    def splits(self, model: ICLModel) -> bool:
        """Never: a given pattern spans the whole sequence."""
        return False

    def edits(self, model: ICLModel, layout: Layout) -> list[LayerEdit]:
        """A pattern edit for every layer."""
        heads = check_heads(model.shape.n_heads, self.heads)
        return [
            LayerEdit(layer, "pattern", lambda p, layer=layer: self._new(p, layer, heads, layout))
            for layer in check_layers(model, self.layers)
        ]

    def _new(self, pattern: Tensor, layer: int, heads: list[int] | None, layout: Layout) -> Tensor:
        given = self.pattern[layer] if isinstance(self.pattern, Mapping) else self.pattern
        new = given if isinstance(given, Tensor) else given(pattern, layout)
        chosen = list(range(pattern.shape[1])) if heads is None else heads
        edited = pattern.clone()
        try:
            edited[:, chosen] = new.to(pattern.device, pattern.dtype)
        except RuntimeError as error:
            raise InterventionError(
                f"got a pattern of shape {tuple(new.shape)}; expected one that broadcasts to "
                f"{tuple(edited[:, chosen].shape)} (row, head, query, key)."
            ) from error
        return edited


def replace_pattern(
    pattern: Tensor | Mapping[int, Tensor] | Callable[[Tensor, Layout], Tensor],
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
) -> ReplacePattern:
    """Put other attention [row, head, query, key] in the place of the model's: a tensor that broadcasts, one per layer,
    or a function of (pattern, layout) whose result has the chosen heads. Acts on every backend; differentiable.
    """
    as_tuple = [(w,) if isinstance(w, int) else None if w is None else tuple(w) for w in (layers, heads)]
    return ReplacePattern(pattern, as_tuple[0], as_tuple[1])
