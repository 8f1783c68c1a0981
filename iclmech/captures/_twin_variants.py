"""Many edits of the same rows in one pass of the plain twin: only what an edit changes is run again.

The rows run once, clean. A variant of a row is its tokens from the first edited one on, and joins above the layers that its
edits leave alone, with the clean states there:

    layer 2   clean row ─► kept keys ─►  variant a   variant b   variant c        all variants of a chunk are one long row,
    layer 1   clean row ─► kept keys ─►  variant a   variant b ◄─ joins           and read: the prefix, their row's clean
    layer 0   clean row ─► kept keys ─►  variant a ◄─ joins                       tokens before the edit, and themselves
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from iclmech._base import Guard
from iclmech.interventions import EditSite, StateEdit
from iclmech.models import PartialPass, attention
from iclmech.models.twin._partial_pass import KeysValues, first_of, states_of, with_first

from ._hooked_run import rows_layout
from ._run_rows import Chunk, Job
from ._twin_edits import TwinEdits
from ._twin_run import FastRun, chunk_tokens, inputs_of, row_mask, run_pass

VARIANT_SITES = ("resid_pre", "resid_post", "attn_out", "mlp_out", "z")
"""What can be read off variants here."""


@dataclass(frozen=True)
class Varied:
    """One variant of one row: which, its first token that differs, the layer at which it leaves the clean row, and its edits
    with the tokens they change."""

    row: int
    variant: int
    first: int
    join: int
    edits: list[tuple[StateEdit, int]]


def variant_chunks(fast: FastRun, job: Job, variants: Sequence[Sequence[EditSite]]) -> Iterator[Chunk]:
    """States of all rows under all variants; row n under variant v has index n · len(variants) + v.

    With `job.grad` they keep their graph, as far as it lies in what is run again: the clean rows are constants.
    """
    pairs = _varied(fast, job, variants)
    budget = chunk_tokens(fast.model.device)
    start = 0
    while start < len(pairs):
        stop, tokens, clean, rows = start, 0, 0, set()
        while stop < len(pairs):
            length = len(job.rows[pairs[stop].row].tokens)
            tokens += length - pairs[stop].first
            clean += 0 if pairs[stop].row in rows else length
            if stop > start and max(tokens, clean) > budget:
                break
            rows.add(pairs[stop].row)
            stop += 1
        mine = sorted(pairs[start:stop], key=lambda pair: pair.join)
        values = _VariantPass(fast, job, mine).run()
        index = tuple(pair.row * len(variants) + pair.variant for pair in mine)
        lengths = tuple(len(job.rows[pair.row].tokens) for pair in mine)
        yield Chunk(index, values, len(fast.prefix), lengths, tuple(job.layers))
        start = stop


def _varied(fast: FastRun, job: Job, variants: Sequence[Sequence[EditSite]]) -> list[Varied]:
    """Every variant of every row, row by row."""
    layout, depth = rows_layout(job, range(len(job.rows)), True), fast.model.shape.n_layers
    found: dict[tuple[int, int], list[tuple[StateEdit, int]]] = defaultdict(list)
    for v, changes in enumerate(variants):
        for edit in (edit for change in changes for edit in change.edits(fast.model, layout)):
            for row, at in zip(edit.rows, edit.positions, strict=True):
                found[row, v].append((edit, at))
    pairs: list[Varied] = []
    for n, row in enumerate(job.rows):
        for v in range(len(variants)):
            edits = found[n, v]
            first = min((*(at for _, at in edits), *row.at))
            join = min((e.layer + (e.site == "resid_post") for e, _ in edits), default=depth)
            pairs.append(Varied(n, v, first, join, edits))
    return pairs


class _VariantPass:
    """One pass: the rows concerned, clean, and behind every block the variants that have left them by then."""

    def __init__(self, fast: FastRun, job: Job, pairs: list[Varied]):
        self.fast, self.job, self.depth = fast, job, fast.model.shape.n_layers
        numbers = sorted({pair.row for pair in pairs})
        self.rows = [job.rows[n] for n in numbers]
        lengths = [len(row.tokens) for row in self.rows]
        starts = dict(zip(numbers, torch.tensor([0, *lengths]).cumsum(0).tolist(), strict=False))
        sizes = [len(job.rows[pair.row].tokens) - pair.first for pair in pairs]
        begins = torch.tensor([0, *sizes]).cumsum(0).tolist()
        device = fast.model.device
        base = [starts[p.row] + p.first + i for p, size in zip(pairs, sizes, strict=True) for i in range(size)]
        self.base = torch.tensor(base, device=device)  # the clean token that each token of a variant stands for
        self.tokens = [sum(s for p, s in zip(pairs, sizes, strict=True) if p.join <= n) for n in range(self.depth + 1)]
        self.pairs = [sum(p.join <= n for p in pairs) for n in range(self.depth + 1)]
        at = [[begin + a - p.first for a in job.rows[p.row].at] for p, begin in zip(pairs, begins, strict=False)]
        self.at = torch.tensor(at, device=device)  # recorded tokens of the variants, [pair, at]
        self.edits = TwinEdits(fast.model, (), rows_layout(job, (), True), [])
        self._add(pairs, begins)
        self.clean_mask = row_mask(lengths, len(fast.prefix), None, fast.model)
        self.mask = self._variant_mask(pairs, sizes, starts)
        self.now = PartialPass(fast.twin, self._mix, sum(lengths))
        self.now.keep = True
        self.lengths = lengths
        self.clean: dict[str, Tensor] = {}
        self.varied: dict[str, Tensor] = {}
        self.seen: dict[tuple[str, int], Tensor] = {}
        self.states: Tensor | None = None

    def _add(self, pairs: list[Varied], begins: list[int]) -> None:
        by_edit: dict[int, tuple[StateEdit, list[int], list[int]]] = {}
        for pair, begin in zip(pairs, begins, strict=False):
            for edit, at in pair.edits:
                _, rows, tokens = by_edit.setdefault(id(edit), (edit, [], []))
                rows.append(pair.row)
                tokens.append(begin + at - pair.first)
        for edit, rows, tokens in by_edit.values():
            self.edits.add(replace(edit, rows=rows, positions=[]), tokens)

    def _variant_mask(self, pairs: list[Varied], sizes: list[int], starts: dict[int, int]) -> Tensor:
        """Variants read the whole prefix, clean tokens of their row before the first edited one, and themselves."""
        count = torch.tensor(sizes)
        begin = torch.repeat_interleave(torch.tensor([starts[p.row] for p in pairs]), count)
        first = torch.repeat_interleave(torch.tensor([starts[p.row] + p.first for p in pairs]), count)
        clean = torch.arange(len(self.clean_mask))
        open_clean = (clean >= begin[:, None]) & (clean < first[:, None])
        own = row_mask(sizes, len(self.fast.prefix), None, self.fast.model)
        before, behind = own[:, : len(self.fast.prefix)], own[:, len(self.fast.prefix) :]
        middle = torch.zeros(open_clean.shape, dtype=own.dtype).masked_fill(~open_clean, float("-inf")).to(own.device)
        return torch.cat([before, middle, behind], 1)

    def run(self) -> dict[str, Tensor]:
        """States at the recorded positions: by site [pair, at, layer, ...]."""
        first = len(self.fast.prefix) if self.job.first_position is None else self.job.first_position
        positions = [first + n for length in self.lengths for n in range(length)]
        with torch.no_grad():
            run_pass(self.now, inputs_of(self.fast.model, [row.tokens for row in self.rows]), positions, self._listen)
        with torch.set_grad_enabled(self.job.grad):
            stacked = {site: torch.stack([self.seen[site, n] for n in self.job.layers], 1) for site in self.job.sites}
            return {site: value.reshape(*self.at.shape, *value.shape[1:]) for site, value in stacked.items()}

    def _mix(self, layer: int, query: Tensor, whole: KeysValues, again: KeysValues | None, scale: float) -> Tensor:
        before, mask = (self.fast.keys[layer], self.fast.values[layer]), self.clean_mask
        parts = [before, whole]
        if again is not None:
            n = query.shape[2]
            parts, mask = [before, whole, again], self.mask[:n, : self.mask.shape[1] - len(self.base) + n]
        keys, values = (torch.cat(kind, 2) for kind in zip(*parts, strict=True))
        out = attention(query, keys, values, scale, mask)
        if again is None:
            self.clean["z"] = out
            return out
        self.varied["z"] = out = self.edits("z", layer, out[0])[None]
        return out

    def _listen(self, guard: Guard) -> None:
        def module(site: str, layer: int) -> Any:
            def after(module: Any, args: Any, output: Any) -> Any:
                if self.now.repeating is None:
                    self.clean[site] = first_of(output)
                    return None
                self.varied[site] = states = self.edits(site, layer, first_of(output)[0])[None]
                return with_first(output, states)

            return after

        def block(layer: int) -> Any:
            return lambda block, args, kwargs, output: self._behind(layer, block, args, kwargs, first_of(output))

        twin = self.fast.twin
        for layer in range(self.depth):
            guard.hook(twin.attention[layer], module("attn_out", layer))
            if twin.mlp[layer] is not None:
                guard.hook(twin.mlp[layer], module("mlp_out", layer))
            guard.hook(twin.blocks[layer], block(layer), with_kwargs=True)

    def _behind(self, layer: int, block: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        """The block again, on the variants that have left their rows; then those join that leave them above it."""
        with torch.set_grad_enabled(self.job.grad):
            self._again(layer, block, args, kwargs, output)

    def _again(self, layer: int, block: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        inputs, n = states_of(args, kwargs), self.tokens[layer]
        states = inputs[:, self.base[:n]] if self.states is None else self.states
        states = self.edits("resid_pre", layer, states[0])[None]
        self._record("resid_pre", layer, inputs, states)
        if n:
            states = self.now.again(block, args, kwargs, self.base[:n], states)
        states = torch.cat([states, output[:, self.base[n : self.tokens[layer + 1]]]], 1)
        self.states = self.edits("resid_post", layer, states[0])[None]
        self._record("resid_post", layer, output, self.states, above=1)
        for site in ("attn_out", "mlp_out", "z"):
            if site in self.job.sites:
                self._record(site, layer, self.clean[site], self.varied.get(site))
        self.now.kept.pop(layer)
        self.varied.clear()

    def _record(self, site: str, layer: int, clean: Tensor, varied: Tensor | None, above: int = 0) -> None:
        if site in self.job.sites and layer in self.job.layers:
            n = self.pairs[layer + above] if varied is not None else 0
            value = clean[0, self.base[self.at.reshape(-1)]]
            if n:
                value[: n * self.at.shape[1]] = varied[0, self.at[:n].reshape(-1)]  # type: ignore[index]  # not None where n
            self.seen[site, layer] = value
