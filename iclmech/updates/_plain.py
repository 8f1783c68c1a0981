"""Gradients of key and value projections through a plain twin of the model: no hooks, and no more graph than needed.

Layer-causal: a block's input is detached, so its keys and values are all that the graph holds of the tokens whose output
no loss reads. Blocks run on all tokens without a graph; where the loss reads, they run once more, on those tokens alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from iclmech.models import ICLModel, Leaf, Twin, attention, narrowed, twin_of, user_hooks

from ._layout import KINDS

Gradients = dict[str, Tensor]
Take = Callable[[int, Tensor], None]
"""Called after every block with its number and its output where the loss reads, [counted, d_model], graph and all."""

_verdicts: WeakKeyDictionary[Twin, dict[str, bool]] = WeakKeyDictionary()
"""For every twin, which of the ways here gave the hooked model's gradients when they were tried."""


_LONG = 48
"""From this length on, running blocks again where the loss reads is quicker than a graph of all tokens; below it, both
cost about as much as reading the weights."""


class _Stop(Exception):
    """Ends a forward pass after the last block."""


def plain_twin(model: ICLModel, leaves: list[Leaf], longest: int) -> Twin | None:
    """The twin that may stand in for the model in training these leaves on sequences up to `longest`, or None."""
    if any(leaf.kind not in KINDS for leaf in leaves) or model.dtype not in (torch.float32, torch.float64):
        return None
    short = any(window is not None and window < longest for window in model.backend.local_windows())
    if short or user_hooks(model):
        return None
    twin = twin_of(model)
    return twin if isinstance(twin, Twin) else None


def trusted(twin: Twin, way: str, fast: Callable[[], Gradients], slow: Callable[[], Gradients]) -> bool:
    """Whether a way gives the hooked model's gradients: tried once for every twin, on the first step that asks."""
    known = _verdicts.setdefault(twin, {})
    if way not in known:
        theirs = slow()
        try:
            known[way] = _agree(fast(), theirs)
        except Exception:  # the hooked model is always there, so whatever fails here only costs time
            known[way] = False
    return known[way]


def _agree(mine: Gradients, theirs: Gradients) -> bool:
    whole = float(torch.stack([g.norm() for g in theirs.values()]).norm())
    close = ((mine[n] - g).norm() <= 1e-3 * g.norm() + 1e-5 * whole for n, g in theirs.items() if n in mine)
    return set(mine) == set(theirs) and all(bool(c) for c in close)


@dataclass
class _Mixing:
    """Attention in one pass. `keys`: layer → keys and values of all tokens, with their graph.

    `mode`: "graph" (plain causal attention), "bare" (the same without a graph), "keys" (stop there), "some" (the tokens
    `at` against all keys).
    """

    at: Tensor
    n: int
    mode: str = "graph"
    keys: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        if self.mode == "some":
            key, value = self.keys.pop(layer)
            ahead = torch.arange(self.n, device=query.device) > self.at[:, None]
            mask = torch.zeros(ahead.shape, dtype=query.dtype, device=query.device).masked_fill(ahead, float("-inf"))
            return attention(query, key, value, scale, mask)
        if self.mode == "graph":
            return attention(query, key, value, scale, None)
        self.keys[layer] = (key, value)
        if self.mode == "keys":
            raise _Stop
        with torch.no_grad():
            return attention(query, key, value, scale, None)


class PlainPass:
    """One sequence through the twin, for gradients of some leaves. The loss reads the outputs at `positions`.

    `frugal`: the smaller graph even where it takes longer.
    """

    def __init__(self, twin: Twin, leaves: list[Leaf], tokens: Tensor, positions: slice, *, frugal: bool = False):
        self.twin, self.leaves, self.tokens = twin, leaves, tokens
        n = tokens.shape[1]
        at = torch.arange(n, device=tokens.device)[positions]
        self.mixing = _Mixing(at, n)
        self.few = 2 * len(at) <= n and (frugal or n >= _LONG)
        self.slots = [twin.slot(leaf.tensor) for leaf in leaves]

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """The twin's weights as the model's are now, and in reach of gradients."""
        self.twin.refresh()
        flags = {id(own): (own, own.requires_grad) for own, _ in self.slots}
        try:
            for own, _ in flags.values():
                own.requires_grad_(True)
            with self.twin.using(self.mixing):
                yield
        finally:
            for own, flag in flags.values():
                own.requires_grad_(flag)

    def gradients(self, value: Tensor, layer: int | None = None) -> Gradients:
        """Gradients of `value` for the leaves (of one layer), whose graph is freed."""
        mine = [
            (leaf, *slot)
            for leaf, slot in zip(self.leaves, self.slots, strict=True)
            if layer is None or leaf.layer == layer
        ]
        owners = {id(own): own for _, own, _ in mine}
        if not owners:
            return {}
        found = dict(zip(owners, torch.autograd.grad(value, list(owners.values())), strict=True))
        return {leaf.name: cut(found[id(own)]) for leaf, own, cut in mine}

    def through(self) -> Tensor:
        """The last block's output where the loss reads, [counted, d_model], with the graph of the whole pass."""
        kept: list[Tensor] = []
        top = self.twin.blocks[-1]
        handle = top.register_forward_pre_hook(
            lambda block, args, kwargs: kept.append(self._some(block, args, kwargs)) or _stop(), with_kwargs=True
        )
        self._run([handle])
        return kept[0]

    def layer_by_layer(self, take: Take) -> None:
        """Every block on the detached output of the one below; `take` gets each output where the loss reads."""
        handles: list[Any] = []
        last = len(self.twin.blocks) - 1
        for layer, block in enumerate(self.twin.blocks):
            handles += self._listen(layer, block, take, layer == last)
        self._run(handles)

    def _listen(self, layer: int, block: nn.Module, take: Take, last: bool) -> list[Any]:
        def before(block: nn.Module, args: Any, kwargs: Any) -> Any:
            if last:
                take(layer, self._some(block, *_detached(args, kwargs)))
                raise _Stop
            self.mixing.mode = "bare" if self.few else "graph"
            return _detached(args, kwargs)

        def after(block: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if self.few:
                take(layer, self._again(block, args, kwargs))
            else:
                take(layer, _first(output)[0, self.mixing.at])

        handles: list[Any] = [block.register_forward_pre_hook(before, with_kwargs=True)]
        return handles if last else [*handles, block.register_forward_hook(after, with_kwargs=True)]

    def _some(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        """A block's output where the loss reads: keys and values of all tokens, the rest of them only there."""
        self.mixing.mode = "keys"
        with contextlib.suppress(_Stop):
            block.forward(*args, **kwargs)
        return self._again(block, args, kwargs)

    def _again(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        self.mixing.mode = "some"
        some, more = narrowed(args, kwargs, self.mixing.at, self.mixing.n)
        return _first(block.forward(*some, **more))[0]

    def _run(self, handles: list[Any]) -> None:
        try:
            with contextlib.suppress(_Stop):
                self.twin.base(input_ids=self.tokens, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _detached(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A block's arguments with the hidden states cut off from what made them."""
    if args:
        return (args[0].detach(), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach()}


def _stop() -> None:
    raise _Stop
