"""Sequences through the blocks of a plain twin, with no more graph than the losses ask for.

Layer-causal: a block's input is detached. Where the loss reads few tokens, a block runs on all tokens without a graph but
for its keys and values, and once more, with a graph, on the tokens that are read. Where it reads most of them, that
would be one forward too many, so the graph of all tokens is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from iclmech.models import Twin, attention, is_ids, narrowed

Take = Callable[[int, Tensor], None]
"""Called after every block with its number and its output where the loss reads, [row, counted, d_model], graph and all."""


class _Stop(Exception):
    """Ends a forward pass after the last block."""


class Blocks:
    """One pass of `inputs`, ids [row, token] or embeddings [row, token, d_model]; the loss reads the outputs at `at`.

    `few`: run blocks again there.

    `repeating` tells hooks on the twin that a block is being run again.
    """

    def __init__(self, twin: Twin, inputs: Tensor, at: Sequence[int], few: bool):
        self.twin, self.few = twin, few
        self.inputs = {"input_ids" if is_ids(inputs) else "inputs_embeds": inputs}
        self.n = inputs.shape[1]
        self.at = torch.tensor(at, device=inputs.device)
        self._mode = (
            "graph"  # plain attention; "bare": without a graph; "keys": stop there; "some": the tokens `at` alone
        )
        self._keys: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def repeating(self) -> bool:
        """Whether a block is being run again on the tokens that the loss reads."""
        return self._mode == "some"

    def through(self) -> Tensor:
        """The last block's output where the loss reads, [row, counted, d_model], with the graph of the whole pass."""
        kept: list[Tensor] = []

        def last(block: nn.Module, args: Any, kwargs: Any) -> None:
            kept.append(self._some(block, args, kwargs))
            raise _Stop

        self._run([self.twin.blocks[-1].register_forward_pre_hook(last, with_kwargs=True)])
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
            self._mode = "bare" if self.few else "graph"
            return _detached(args, kwargs)

        def after(block: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            take(layer, self._again(block, args, kwargs) if self.few else _first(output)[:, self.at])

        handles: list[Any] = [block.register_forward_pre_hook(before, with_kwargs=True)]
        return handles if last else [*handles, block.register_forward_hook(after, with_kwargs=True)]

    def _some(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        """A block's output where the loss reads: keys and values of all tokens, the rest of it only there."""
        self._mode = "keys"
        with contextlib.suppress(_Stop):
            block.forward(*args, **kwargs)
        return self._again(block, args, kwargs)

    def _again(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        self._mode = "some"
        some, more = narrowed(args, kwargs, self.at, self.n)
        return _first(block.forward(*some, **more))

    def _run(self, handles: list[Any]) -> None:
        try:
            with self.twin.using(self._attend), contextlib.suppress(_Stop):
                self.twin.base(**self.inputs, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()

    def _attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        if self._mode == "some":
            key, value = self._keys.pop(layer)
            ahead = torch.arange(self.n, device=query.device) > self.at[:, None]
            mask = torch.zeros(ahead.shape, dtype=query.dtype, device=query.device).masked_fill(ahead, float("-inf"))
            return attention(query, key, value, scale, mask)
        if self._mode == "graph":
            return attention(query, key, value, scale, None)
        self._keys[layer] = (key, value)
        if self._mode == "keys":
            raise _Stop
        with torch.no_grad():
            return attention(query, key, value, scale, None)


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _detached(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A block's arguments with the hidden states cut off from what made them."""
    if args:
        return (args[0].detach(), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach()}
