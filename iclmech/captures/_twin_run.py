"""Rows behind a shared prefix, many at once and without a padded token, through a plain transformers twin.

All rows of a chunk stand behind each other in one long row. Their tokens attend to the prefix, which is there once, and
to their own row; a mask keeps rows apart:

    keys:    prefix prefix prefix │ a a a │ b b │ c          a row may also stand behind a part of the prefix only:
    row a      ×      ×      ×    │ × × × │     │            its mask then closes the rest, and its positions begin there
    row b      ×      ×      ×    │       │ × × │
    row c      ×      ×           │       │     │ ×

In the topmost block that is asked for only keys and values of all tokens are computed, everything else at the recorded
positions alone. Nothing is unembedded here. Edits of states are made on the twin's own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import Guard
from iclmech.models import (
    EndOfPass,
    ICLModel,
    KeysValues,
    PartialPass,
    Twin,
    attention,
    first_of,
    softmax_allowed,
    states_of,
)

from ._hooked_run import embedded, prefix_layout, rows_layout
from ._run_rows import Chunk, Job, Tokens
from ._twin_edits import TwinEdits

SITES = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z", "attn_scores", "attn_pattern")
"""What can be read off here."""


_TOKENS = {"cpu": 320}
"""Tokens that go through together, by kind of device: enough for matrix products at full speed."""


def chunk_tokens(device: torch.device) -> int:
    """How many tokens go through together."""
    return _TOKENS.get(device.type, 2048)


def packed(lengths: Sequence[int], budget: int) -> list[tuple[int, ...]]:
    """Numbers of rows of these lengths, shortest first, that go through together within a budget of tokens."""
    chunks: list[list[int]] = []
    filled = 0
    for n in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        if not chunks or filled + lengths[n] > budget:
            chunks.append([])
            filled = 0
        chunks[-1].append(n)
        filled += lengths[n]
    return [tuple(chunk) for chunk in chunks]


class FastRun:
    """A twin with a prefix in it, encoded once up to the topmost of `layers`; `chunks` takes rows behind it."""

    def __init__(self, model: ICLModel, twin: Twin, job: Job, layers: Sequence[int]):
        self.model, self.twin, self.prefix, self.top = model, twin, job.prefix, max(layers)
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        twin.refresh()
        edits = TwinEdits(model, job.interventions, prefix_layout(job), [0])

        def keep(layer: int, query: Tensor, whole: KeysValues, again: Any, scale: float) -> Tensor:
            self.keys[layer], self.values[layer] = (part.contiguous() for part in whole)
            if layer == self.top:
                raise EndOfPass
            out = attention(query, *whole, scale, None)
            return edits("z", layer, out[0])[None]

        now = PartialPass(twin, keep, len(job.prefix))
        with torch.set_grad_enabled(job.grad):
            inputs, positions = inputs_of(model, [job.prefix]), range(len(job.prefix))
            run_pass(now, inputs, positions, lambda guard: edits.listen(guard, now, self.top))

    def chunks(self, job: Job, behind: Sequence[int] | None = None) -> Iterator[Chunk]:
        """States of all rows of a job, shortest first. `behind`: how much of the prefix each row stands behind."""
        for index in packed([len(row.tokens) for row in job.rows], chunk_tokens(self.model.device)):
            with torch.set_grad_enabled(job.grad):
                rows = _RowsPass(self, job, index, None if behind is None else [behind[n] for n in index])
                values = rows.run()
            yield Chunk(index, values, len(self.prefix), tuple(rows.lengths), tuple(job.layers))


def inputs_of(model: ICLModel, rows: Sequence[Tokens]) -> Tensor:
    """All rows behind each other in one: ids [1, token], or embeddings if any row is given as such."""
    if any(isinstance(tokens, Tensor) for tokens in rows):
        return torch.cat([embedded(model, tokens) for tokens in rows])[None]
    return torch.tensor([[token for tokens in rows for token in tokens]], device=model.device)


def run_pass(now: PartialPass, inputs: Tensor, positions: Sequence[int], place: Callable[[Guard], Any]) -> None:
    """A pass at these positions with hooks on the twin, which `place` places."""
    now.run(inputs, torch.tensor([list(positions)], device=inputs.device), place)


class _RowsPass:
    """One pass of some rows."""

    def __init__(self, run: FastRun, job: Job, index: tuple[int, ...], behind: Sequence[int] | None):
        self.fast, self.job, self.model = run, job, run.model
        self.rows = [job.rows[n] for n in index]
        self.lengths = [len(row.tokens) for row in self.rows]
        self.behind = behind
        self.starts = torch.tensor([0, *self.lengths]).cumsum(0)[:-1]
        self.at = torch.tensor([row.at for row in self.rows], dtype=torch.long)
        self.flat = (self.starts[:, None] + self.at).reshape(-1).to(self.model.device)
        self.top = max(job.layers)
        layout = rows_layout(job, index, True)
        self.edits = TwinEdits(self.model, job.interventions, layout, self.starts.tolist())
        self.mask = row_mask(self.lengths, len(run.prefix), behind, self.model)
        self.seen: dict[tuple[str, int], Tensor] = {}
        self.now = PartialPass(run.twin, self._mix, sum(self.lengths))

    def run(self) -> dict[str, Tensor]:
        """States at the recorded positions: by site [row, at, layer, ...]."""
        first = len(self.fast.prefix) if self.job.first_position is None else self.job.first_position
        begin = [first] * len(self.rows) if self.behind is None else self.behind
        positions = [start + n for start, length in zip(begin, self.lengths, strict=True) for n in range(length)]
        run_pass(self.now, inputs_of(self.model, [row.tokens for row in self.rows]), positions, self._listen)
        return {site: self._gathered(site) for site in self.job.sites}

    def _mix(self, layer: int, query: Tensor, whole: KeysValues, again: KeysValues | None, scale: float) -> Tensor:
        """Attention of the rows' tokens, or of the recorded ones alone, to the prefix and to their own rows."""
        narrow = again is not None
        mask = self.mask[self.flat] if narrow else self.mask
        at = torch.arange(len(self.flat), device=query.device) if narrow else self.flat
        keys, values = (
            torch.cat([self.fast.keys[layer], whole[0]], 2),
            torch.cat([self.fast.values[layer], whole[1]], 2),
        )
        out = attention(query, keys, values, scale, mask)
        out = self.edits("z", layer, out[0], self.flat if narrow else None)[None]
        self.seen["z", layer] = out[0, at]
        self.seen["q", layer], self.seen["k", layer] = query[0, :, at] * scale, whole[0][0]
        return out

    def _keep(self, site: str, layer: int, states: Tensor) -> None:
        self.seen[site, layer] = states[0] if layer == self.top else states[0, self.flat]

    def _listen(self, guard: Guard) -> None:
        self.edits.listen(guard, self.now, self.top)
        sites, twin = set(self.job.sites), self.fast.twin

        def before(layer: int) -> Any:
            return lambda module, args, kwargs: self._keep("resid_pre", layer, states_of(args, kwargs))

        def after(site: str, layer: int) -> Any:
            return lambda module, args, output: self._keep(site, layer, first_of(output))

        for layer in set(self.job.layers):
            block = twin.blocks[layer]
            if {"resid_pre", "resid_mid"} & sites and layer != self.top:
                guard.hook(block, before(layer), before=True, with_kwargs=True)
            if {"attn_out", "resid_mid"} & sites:
                guard.hook(twin.attention[layer], after("attn_out", layer))
            if "mlp_out" in sites:
                guard.hook(twin.mlp[layer], after("mlp_out", layer))
            if "resid_post" in sites and layer != self.top:
                guard.hook(block, after("resid_post", layer))
        guard.hook(twin.blocks[self.top], self._narrow, before=True, with_kwargs=True)

    def _narrow(self, block: Any, args: Any, kwargs: Any) -> None:
        """The top block: keys and values of every token, then the rest of it at the recorded positions; ends the pass."""
        output = self.now.some(block, args, kwargs, self.flat)
        self._keep("resid_pre", self.top, states_of(args, kwargs)[:, self.flat])
        self._keep("resid_post", self.top, self.edits("resid_post", self.top, output[0], self.flat)[None])
        raise EndOfPass

    def _gathered(self, site: str) -> Tensor:
        layers = self.job.layers
        if site in ("attn_scores", "attn_pattern"):
            stacked = torch.stack([self._scores(n) for n in layers], 2)
            return softmax_allowed(stacked) if site == "attn_pattern" else stacked
        if site == "resid_mid":
            found = [self.seen["resid_pre", n] + self.seen["attn_out", n] for n in layers]
        else:
            found = [self.seen[site, n] for n in layers]
        stacked = torch.stack(found, 1)
        return stacked.reshape(*self.at.shape, *stacked.shape[1:])

    def _scores(self, layer: int) -> Float[Tensor, "row at head key"]:
        """Pre-softmax scores of the recorded tokens over prefix and own keys, NaN on what they do not read."""
        query, own = self.seen["q", layer], self.seen["k", layer]  # [head, row·at, d], [kv, token, d]
        kv, longest = own.shape[0], max(self.lengths)
        query = query.unflatten(0, (kv, -1)).unflatten(2, tuple(self.at.shape))  # [kv, group, row, at, d]
        before = torch.einsum("vgrad,vpd->ravgp", query, self.fast.keys[layer][0])
        if self.behind is not None:
            closed = torch.arange(before.shape[-1]) >= torch.tensor(self.behind)[:, None]
            before = before.masked_fill(closed[:, None, None, None].to(before.device), float("nan"))
        place = (self.starts[:, None] + torch.arange(longest)).clamp(max=own.shape[1] - 1).to(own.device)
        after = torch.einsum("vgrad,vrjd->ravgj", query, own[:, place])
        ahead = torch.arange(longest) > self.at[..., None]  # [row, at, key]
        after = after.masked_fill(ahead[:, :, None, None].to(own.device), float("nan"))
        return torch.cat([before, after], -1).flatten(2, 3)


def row_mask(
    lengths: Sequence[int], prefix: int, behind: Sequence[int] | None, model: ICLModel
) -> Float[Tensor, "token key"]:
    """Who reads whom, 0 or −inf: the prefix as far as one stands behind it, and what stands before in one's own row."""
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    token = torch.arange(len(row))
    closed = (row[:, None] != row) | (token[:, None] < token)
    ahead = torch.zeros(len(row), prefix, dtype=torch.bool)
    if behind is not None:
        ahead = torch.arange(prefix) >= torch.tensor(behind)[row][:, None]
    mask = torch.zeros(len(row), prefix + len(row), dtype=model.dtype)
    return mask.masked_fill(torch.cat([ahead, closed], 1), float("-inf")).to(model.device)
