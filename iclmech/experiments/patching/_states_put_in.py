"""States that are put into a run, one for every query and token, and the two controls for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng
from iclmech.captures import Setting, capture
from iclmech.interventions import EditSite, Layout
from iclmech.interventions._state_edits import Places
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from .._request import ExperimentError

CONTROLS = ("none", "random_state", "other_query")
HEADED = ("z", "q")


@dataclass(frozen=True)
class Side:
    """A run: its prompts and its setting."""

    prompts: PromptSet
    setting: Setting


class StatesPutIn:
    """States of a site at the tokens of a role: the source's, random ones as far away, and another query's."""

    def __init__(self, model: ICLModel, source: Side, into: Side, site: str, role: str, seed: int):
        self.model, self.site, self.role, self.seed, self.prompts = model, site, role, seed, into.prompts
        (own, count), (present, places) = (self._states(side) for side in (source, into))
        if count != places:
            j = next(j for j, pair in enumerate(zip(count, places, strict=True)) if pair[0] != pair[1])
            raise ExperimentError(
                f"query {j} has {count[j]} tokens of the role {role!r} in the source and {places[j]} where they are put; expected as "
                "many. Patch roles of the query, or use label words of equal length."
            )
        self.own, self.present, self.count = own, present, count

    def _states(self, side: Side) -> tuple[Tensor, list[int]]:
        """([query, layer, token, ...] with NaN behind the last, how many tokens each query has)."""
        acts = capture(self.model, side.prompts, side.setting, (self.site,), position=(self.role,))
        states = acts[self.site]
        there = ~states.flatten(3)[:, 0, :, 0].isnan()
        return states, there.sum(dim=-1).tolist()

    @cached_property
    def other(self) -> list[int]:
        """For every query the next one that has another answer and as many tokens; itself where there is none."""
        answers = [query.label if query.label is not None else tuple(query.target_tokens or ()) for query in self.prompts.queries]  # fmt: skip
        n, found = len(answers), []
        for j in range(n):
            rest = [(j + step) % n for step in range(1, n)]
            fit = [i for i in rest if answers[i] != answers[j] and self.count[i] == self.count[j]]
            found.append(fit[0] if fit else j)
        return found

    def values(self, control: str, layer: int, head: int | None) -> Float[Tensor, "query token width"]:
        """What is put in at one layer (and head)."""
        here = (slice(None), layer, slice(None), *(() if head is None else (head,)))
        own, present = self.own[here], self.present[here]
        if control == "none":
            return own
        if control == "other_query":
            return own[self.other]
        push = torch.randn(own.shape, generator=rng(self.seed, f"random state {self.site} {self.role} {layer} {head}"))
        far = (own - present).norm(dim=-1, keepdim=True)
        return present + push / push.norm(dim=-1, keepdim=True) * far

    def places(self) -> Iterator[tuple[int, int | None]]:
        """Every (layer, head), or (layer, None) of a site without heads."""
        for layer in range(self.model.shape.n_layers):
            for head in range(self.model.shape.n_heads) if self.site in HEADED else (None,):
                yield layer, head

    def edits(self) -> list[EditSite]:
        """All of them: by control, then by place."""
        return [self._edit(self.values(control, *place), *place) for control in CONTROLS for place in self.places()]

    def _edit(self, values: Tensor, layer: int, head: int | None) -> EditSite:
        def change(states: Tensor, at: int, rows: Sequence[int], layout: Layout) -> Tensor:
            seen: dict[int, int] = defaultdict(int)
            new = []
            for row in rows:  # a row's tokens come in order
                query = layout.queries[row]
                if query is None:
                    raise ExperimentError(
                        "this run has rows that are no queries of the prompt set; states of a query are put in."
                    )
                new.append(values[query, seen[row]])
                seen[row] += 1
            return torch.stack(new).to(states.device).reshape(states.shape)

        heads = None if head is None else (head,)
        return EditSite(self.site, change, Places(self.role, None), (layer,), heads, by_row=True)
