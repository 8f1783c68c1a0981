"""Edits of states in a pass of the plain twin, where rows stand behind each other in one long row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from iclmech._base import Guard
from iclmech.interventions import EditSite, Intervention, Layout, StateEdit
from iclmech.models import ICLModel, PartialPass, first_of, states_of, with_first, with_states

EDITABLE = ("resid_pre", "resid_post", "attn_out", "mlp_out", "z")
"""Sites whose edits a twin can make."""


def editable(interventions: Iterable[Intervention]) -> bool:
    """Whether all of them are edits of states that a twin can make."""
    return all(isinstance(change, EditSite) and change.site in EDITABLE for change in interventions)


class TwinEdits:
    """The edits of one pass. Row n of the layout begins at token `starts[n]` of the long row."""

    def __init__(self, model: ICLModel, interventions: Sequence[Intervention], layout: Layout, starts: Sequence[int]):
        self._by_place: dict[tuple[str, int], list[tuple[StateEdit, Tensor]]] = defaultdict(list)
        for change in interventions:
            for edit in change.edits(model, layout) if isinstance(change, EditSite) else ():
                self.add(edit, [starts[row] + at for row, at in zip(edit.rows, edit.positions, strict=True)])

    def add(self, edit: StateEdit, tokens: Sequence[int]) -> None:
        """One edit more, of these tokens of the long row."""
        self._by_place[edit.site, edit.layer].append((edit, torch.tensor(tokens)))

    def __call__(self, site: str, layer: int, states: Tensor, at: Tensor | None = None) -> Tensor:
        """States [token, ...] with the edits of a site made; `at`: which tokens of the long row they are."""
        for edit, tokens in self._by_place.get((site, layer), ()):
            if at is None:
                states = edit.put(states, (tokens.tolist(),), edit.rows)
                continue
            places, which = torch.nonzero(at.cpu()[:, None] == tokens, as_tuple=True)
            if len(places):
                states = edit.put(states, (places.tolist(),), [edit.rows[n] for n in which.tolist()])
        return states

    def layers(self, *sites: str) -> set[int]:
        """Where any of these sites is edited."""
        return {layer for site, layer in self._by_place if site in sites}

    def listen(self, guard: Guard, now: PartialPass, top: int) -> None:
        """Place hooks on the twin's modules that make the edits of all but z, up to the inputs of the top block."""

        def before(layer: int, block: Any, args: Any, kwargs: Any) -> Any:
            return with_states(args, kwargs, self("resid_pre", layer, states_of(args, kwargs)[0])[None])

        def after(site: str, layer: int, module: Any, args: Any, output: Any) -> Any:
            return with_first(output, self(site, layer, first_of(output)[0], now.repeating)[None])

        for site, modules in (
            ("attn_out", now.twin.attention),
            ("mlp_out", now.twin.mlp),
            ("resid_post", now.twin.blocks),
        ):
            for layer in self.layers(site):
                if layer < top or (layer == top and site != "resid_post"):
                    guard.hook(modules[layer], partial(after, site, layer))
        for layer in self.layers("resid_pre"):
            if layer <= top:
                guard.hook(now.twin.blocks[layer], partial(before, layer), before=True, with_kwargs=True)
