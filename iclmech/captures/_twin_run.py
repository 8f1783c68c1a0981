"""Rows behind a shared prefix, many at once and without a padded token, through a plain transformers twin.

All rows of a chunk stand behind each other in one long row. Their tokens attend to the prefix, which is there once, and
to their own row; a mask keeps rows apart. In the topmost block that is asked for only keys and values of all tokens are
computed, everything else at the recorded positions alone. Nothing is unembedded here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech.models import ICLModel, Twin, attention, narrowed, softmax_allowed

from ._run_rows import Row

SITES = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z", "attn_scores", "attn_pattern")
"""What can be read off here."""


_TOKENS = {"cpu": 320}
"""Tokens that go through together, by kind of device: enough for matrix products at full speed."""


def chunk_tokens(device: torch.device) -> int:
    """How many tokens go through together."""
    return _TOKENS.get(device.type, 2048)


def fast_chunks(rows: Sequence[Row], device: torch.device) -> list[tuple[int, ...]]:
    """Numbers of rows, shortest first, that go through together."""
    budget, chunks, filled = chunk_tokens(device), [], 0
    for n in sorted(range(len(rows)), key=lambda n: len(rows[n].tokens)):
        if not chunks or filled + len(rows[n].tokens) > budget:
            chunks.append([])
            filled = 0
        chunks[-1].append(n)
        filled += len(rows[n].tokens)
    return [tuple(chunk) for chunk in chunks]


class _Stop(Exception):
    """Ends a forward pass: all that was wanted has been seen."""


@dataclass
class Pass:
    """One forward pass: what the attention of every layer needs, and what is read off.

    `at`: which tokens of the long row are recorded. `keys`, `values`: the prefix's, by layer.
    """

    top: int
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None
    at: Tensor | None = None
    narrow: bool = False  # the top block's second run, at the recorded positions only
    only_keys: bool = False  # the top block's first run
    own: tuple[Tensor, Tensor] | None = None
    seen: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """The attention of one layer (see `iclmech.models.Twin`)."""
        if self.at is None:
            return self._within_prefix(layer, query, key, value, scale)
        if self.only_keys:
            self.own = (key, value)
            raise _Stop
        if self.narrow and self.own is not None:
            key, value = self.own
        mask, at = self.mask, self.at
        if self.narrow and mask is not None:
            mask, at = mask[at], torch.arange(len(at), device=at.device)
        keys, values = torch.cat([self.keys[layer], key], 2), torch.cat([self.values[layer], value], 2)
        out = attention(query, keys, values, scale, mask)
        self.seen["z", layer] = out[0, at]
        self.seen["q", layer], self.seen["k", layer] = query[0, :, at] * scale, key[0]
        return out

    def _within_prefix(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        self.keys[layer], self.values[layer] = key.contiguous(), value.contiguous()
        if layer == self.top:
            raise _Stop
        return attention(query, key, value, scale, None)


class FastRun:
    """A twin with a prefix in it, encoded once up to the topmost of `layers`; `run` takes rows."""

    def __init__(self, model: ICLModel, twin: Twin, prefix: Sequence[int], layers: Sequence[int]):
        self.model, self.twin, self.prefix = model, twin, len(prefix)
        self.top = max(layers)
        twin.refresh()
        encoding = Pass(self.top)
        self._forward(encoding, list(prefix), list(range(len(prefix))))
        self.keys, self.values = encoding.keys, encoding.values

    def run(
        self,
        rows: Sequence[Sequence[int]],
        at: Int[Tensor, "row at"],
        sites: Sequence[str],
        first: int | None = None,
        layers: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """States at the recorded positions: by site [row, at, layer, ...]. `first`: position id of the rows' first tokens."""
        layers = range(self.top + 1) if layers is None else layers
        lengths = [len(row) for row in rows]
        starts = torch.tensor([0, *lengths]).cumsum(0)[:-1]
        flat = (starts[:, None] + at).reshape(-1)
        begin = self.prefix if first is None else first
        positions = [begin + n for length in lengths for n in range(length)]
        now = Pass(max(layers), self.keys, self.values, at=flat.to(self.model.device))
        now.mask = _mask(lengths, self.prefix, self.model)
        handles = self._listen(now, sites, layers)
        try:
            self._forward(now, [token for row in rows for token in row], positions)
        finally:
            for handle in handles:
                handle.remove()
        return {site: self._gather(now, site, layers, at, starts, lengths) for site in sites}

    def _forward(self, now: Pass, tokens: list[int], positions: list[int]) -> None:
        ids, places = (torch.tensor([numbers], device=self.model.device) for numbers in (tokens, positions))
        with self.twin.using(now.attend), contextlib.suppress(_Stop):
            self.twin.base(input_ids=ids, position_ids=places, use_cache=False)

    def _listen(self, now: Pass, sites: Sequence[str], layers: Sequence[int]) -> list[Any]:
        def keep(site: str, layer: int, tensor: Any) -> None:
            tensor = tensor[0] if isinstance(tensor, tuple) else tensor
            now.seen[site, layer] = tensor[0] if layer == now.top else tensor[0, now.at]

        def before(site: str, layer: int) -> Any:
            return lambda module, args, kwargs: keep(site, layer, args[0] if args else kwargs["hidden_states"])

        def after(site: str, layer: int) -> Any:
            return lambda module, args, output: keep(site, layer, output)

        handles: list[Any] = []
        for layer in set(layers):
            block = self.twin.blocks[layer]
            if {"resid_pre", "resid_mid"} & set(sites) and layer != now.top:
                handles.append(block.register_forward_pre_hook(before("resid_pre", layer), with_kwargs=True))
            if {"attn_out", "resid_mid"} & set(sites):
                handles.append(self.twin.attention[layer].register_forward_hook(after("attn_out", layer)))
            if "mlp_out" in sites:
                handles.append(self.twin.mlp[layer].register_forward_hook(after("mlp_out", layer)))
            if "resid_post" in sites and layer != now.top:
                handles.append(block.register_forward_hook(after("resid_post", layer)))
        top = self.twin.blocks[now.top]
        handles.append(top.register_forward_pre_hook(lambda *call: _narrow(now, keep, *call), with_kwargs=True))
        return handles

    def _gather(
        self,
        now: Pass,
        site: str,
        layers: Sequence[int],
        at: Int[Tensor, "row at"],
        starts: Tensor,
        lengths: Sequence[int],
    ) -> Tensor:
        if site in ("attn_scores", "attn_pattern"):
            stacked = torch.stack([self._scores(now, n, at, starts, lengths) for n in layers], 2)
            return softmax_allowed(stacked) if site == "attn_pattern" else stacked
        if site == "resid_mid":
            found = [now.seen["resid_pre", n] + now.seen["attn_out", n] for n in layers]
        else:
            found = [now.seen[site, n] for n in layers]
        stacked = torch.stack(found, 1)
        return stacked.reshape(*at.shape, *stacked.shape[1:])

    def _scores(
        self, now: Pass, layer: int, at: Int[Tensor, "row at"], starts: Tensor, lengths: Sequence[int]
    ) -> Float[Tensor, "row at head key"]:
        """Pre-softmax scores of the recorded tokens over prefix and own keys, NaN on what lies ahead."""
        query, own = now.seen["q", layer], now.seen["k", layer]  # [head, row·at, d], [kv, token, d]
        kv, longest = own.shape[0], max(lengths)
        query = query.unflatten(0, (kv, -1)).unflatten(2, tuple(at.shape))  # [kv, group, row, at, d]
        before = torch.einsum("vgrad,vpd->ravgp", query, self.keys[layer][0])
        place = (starts[:, None] + torch.arange(longest)).clamp(max=own.shape[1] - 1).to(own.device)
        after = torch.einsum("vgrad,vrjd->ravgj", query, own[:, place])
        ahead = torch.arange(longest) > at[..., None]  # [row, at, key]
        after = after.masked_fill(ahead[:, :, None, None].to(own.device), float("nan"))
        return torch.cat([before, after], -1).flatten(2, 3)


def _mask(lengths: Sequence[int], prefix: int, model: ICLModel) -> Float[Tensor, "token key"]:
    """Who reads whom, 0 or −inf: the whole prefix, and what stands before in one's own row."""
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    token = torch.arange(len(row))
    closed = (row[:, None] != row) | (token[:, None] < token)
    own = torch.zeros(closed.shape, dtype=model.dtype).masked_fill(closed, float("-inf"))
    return torch.cat([torch.zeros(len(row), prefix, dtype=model.dtype), own], 1).to(model.device)


def _narrow(now: Pass, keep: Any, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The top block: keys and values of every token, then the rest of it at the recorded positions; ends the pass."""
    hidden = args[0] if args else kwargs["hidden_states"]
    now.only_keys = True
    try:
        block.forward(*args, **kwargs)
    except _Stop:
        now.only_keys = False
    now.narrow = True
    some, more = narrowed(args, kwargs, now.at, hidden.shape[1])  # type: ignore[arg-type]  # rows have positions
    output = block.forward(*some, **more)
    keep("resid_pre", now.top, hidden[:, now.at])
    keep("resid_post", now.top, output)
    raise _Stop
