"""Sequences through the blocks of a plain twin, with no more graph than the losses ask for.

Layer-causal: a block's input is detached. Where the loss reads few tokens, a block runs on all tokens without a graph but
for its keys and values, and once more, with a graph, on the tokens that are read. Where it reads most of them, that
would be one forward too many, so the graph of all tokens is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from iclmech._base import Guard
from iclmech.models import (
    EndOfPass,
    KeysValues,
    PartialPass,
    Twin,
    at_places,
    attention,
    first_of,
    states_of,
    with_states,
)

Take = Callable[[int, Tensor], None]
"""Called after every block with its number and its output where the loss reads, [row, counted, d_model], graph and all."""


class Blocks:
    """One pass of `inputs`, ids [row, token] or embeddings [row, token, d_model]; the loss reads the outputs at `at`.

    `at`: [counted], the same in all rows, or [row, counted].

    `few`: run blocks again there. `repeating` tells hooks on the twin that a block is being run again.
    """

    def __init__(self, twin: Twin, inputs: Tensor, at: Tensor, few: bool):
        self.twin, self.inputs, self.few, self.at = twin, inputs, few, at
        self._bare = False  # whether the block under way runs without a graph but for its keys and values
        self._pass = PartialPass(twin, self._mix, inputs.shape[1])

    @property
    def repeating(self) -> bool:
        """Whether a block is being run again on the tokens that the loss reads."""
        return self._pass.repeating is not None

    def through(self) -> Tensor:
        """The last block's output where the loss reads, [row, counted, d_model], with the graph of the whole pass."""
        kept: list[Tensor] = []

        def last(block: nn.Module, args: Any, kwargs: Any) -> None:
            kept.append(self._some(block, args, kwargs))
            raise EndOfPass

        self._pass.run(
            self.inputs, place=lambda guard: guard.hook(self.twin.blocks[-1], last, before=True, with_kwargs=True)
        )
        return kept[0]

    def layer_by_layer(self, take: Take) -> None:
        """Every block on the detached output of the one below; `take` gets each output where the loss reads."""
        last = len(self.twin.blocks) - 1
        self._pass.keep = self._bare = self.few

        def place(guard: Guard) -> None:
            for layer, block in enumerate(self.twin.blocks):
                self._listen(guard, layer, block, take, layer == last)

        self._pass.run(self.inputs, place=place)

    def _listen(self, guard: Guard, layer: int, block: nn.Module, take: Take, last: bool) -> None:
        def before(block: nn.Module, args: Any, kwargs: Any) -> Any:
            args, kwargs = with_states(args, kwargs, states_of(args, kwargs).detach())
            if last:
                take(layer, self._some(block, args, kwargs))
                raise EndOfPass
            return args, kwargs

        def after(block: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            take(layer, self._again(block, args, kwargs) if self.few else at_places(first_of(output), self.at))

        guard.hook(block, before, before=True, with_kwargs=True)
        if not last:
            guard.hook(block, after, with_kwargs=True)

    def _some(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        """A block's output where the loss reads: keys and values of all tokens, the rest of it only there."""
        self._pass.keys(block, args, kwargs)
        return self._again(block, args, kwargs)

    def _again(self, block: nn.Module, args: Any, kwargs: Any) -> Tensor:
        output = self._pass.again(block, args, kwargs, self.at)
        self._pass.kept.clear()  # the graph of one block at a time
        return output

    def _mix(self, layer: int, query: Tensor, whole: KeysValues, again: KeysValues | None, scale: float) -> Tensor:
        if again is None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self._bare):
                return attention(query, *whole, scale, None)
        ahead = torch.arange(self.inputs.shape[1], device=query.device) > self.at[..., None]  # [*row, counted, token]
        if ahead.ndim == 3:
            ahead = ahead[:, None]
        mask = torch.zeros(ahead.shape, dtype=query.dtype, device=query.device).masked_fill(ahead, float("-inf"))
        return attention(query, *whole, scale, mask)
