"""Blocks of a plain twin on some of their tokens only, behind the keys and values of all of them.

What a loss or a measurement reads is often the state of a few tokens. Those need the keys and values of every token
before them, and nothing else of the others:

    all tokens ──► block as far as its keys and values ──► kept, the rest of the block left out      (`keys`)
    some tokens ─► block again, attention reading what was kept ──► states of these tokens alone     (`again`)

The tokens that run again need not be the ones that ran before: `again` takes states in their place, one token as often as
one likes, and hands their own keys and values to the attention beside the kept ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iclmech._base import Guard

from ._twin import Twin, narrowed

KeysValues = tuple[Tensor, Tensor]

Mix = Callable[[int, Tensor, KeysValues, KeysValues | None, float], Tensor]
"""Attention of one layer: (layer, query, keys and values of all tokens, those of the tokens that run again, scale) →
[1, token, head, d_head]. The fourth is None while all tokens run, and `query` is that of the tokens that run."""


class EndOfPass(Exception):
    """Ends a forward pass: all that was wanted has been seen."""


class PartialPass:
    """One forward pass of a twin, whose blocks may be stopped at their keys and run again on other tokens.

    Attributes: `repeating`, the numbers of the tokens that a block is being run again on, None while it runs on all of
    them (hooks on the twin's modules ask for it); `kept`, keys and values of all tokens by layer.
    """

    def __init__(self, twin: Twin, mix: Mix, tokens: int):
        self.twin, self.mix, self.tokens = twin, mix, tokens
        self.repeating: Tensor | None = None
        self.kept: dict[int, KeysValues] = {}
        self.keep = False
        self._only_keys = False

    def run(self, inputs: Tensor, positions: Tensor | None = None, place: Callable[[Guard], Any] | None = None) -> None:
        """The twin on token ids [row, token] or embeddings [row, token, d_model], up to its end or an `EndOfPass`.

        Args:
            inputs: what goes in.
            positions: position ids [row, token]; in order from 0 by default.
            place: places hooks for this pass, by the guard's `hook`.
        """
        more: dict[str, Any] = {"inputs_embeds" if torch.is_floating_point(inputs) else "input_ids": inputs}
        if positions is not None:
            more["position_ids"] = positions
        with self.twin.using(self._attend, place), contextlib.suppress(EndOfPass):
            self.twin.base(**more, use_cache=False)

    def some(self, block: nn.Module, args: Any, kwargs: Any, at: Int[Tensor, " some"]) -> Tensor:
        """A block's output at the tokens `at`: keys and values of all tokens, the rest of it only there."""
        self.keys(block, args, kwargs)
        return self.again(block, args, kwargs, at)

    def keys(self, block: nn.Module, args: Any, kwargs: Any) -> None:
        """Run a block on all tokens as far as its keys and values, which are kept for `again`."""
        self._only_keys = True
        try:
            with contextlib.suppress(EndOfPass):
                block.forward(*args, **kwargs)
        finally:
            self._only_keys = False

    def again(
        self,
        block: nn.Module,
        args: Any,
        kwargs: Any,
        at: Int[Tensor, "*rows some"],
        states: Float[Tensor, "row some d_model"] | None = None,
    ) -> Tensor:
        """Run a block on the tokens `at` (a number may come more than once), [some] or [row, some], behind the keys that were kept.

        Args:
            block, args, kwargs: as a hook on the block got them.
            at: numbers of tokens, whose positions the states stand at.
            states: the block's inputs; by default those that the tokens have in `args` or `kwargs`.

        Returns:
            The block's output [row, some, d_model].
        """
        some, more = narrowed(args, kwargs, at, self.tokens)
        if states is not None:
            some, more = with_states(some, more, states)
        self.repeating = at
        try:
            return first_of(block.forward(*some, **more))
        finally:
            self.repeating = None

    def _attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        if self.repeating is not None:
            return self.mix(layer, query, self.kept[layer], (key, value), scale)
        if self.keep or self._only_keys:
            self.kept[layer] = (key, value)
        if self._only_keys:
            raise EndOfPass
        return self.mix(layer, query, (key, value), None, scale)


def states_of(args: Any, kwargs: Any) -> Tensor:
    """The hidden states among a block's arguments."""
    return args[0] if args else kwargs["hidden_states"]


def with_states(args: Any, kwargs: Any, states: Tensor) -> tuple[Any, Any]:
    """A block's arguments with other hidden states."""
    return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})


def first_of(output: Any) -> Tensor:
    """The states among a module's outputs."""
    return output[0] if isinstance(output, tuple) else output


def with_first(output: Any, states: Tensor) -> Any:
    """A module's outputs with other states."""
    return (states, *output[1:]) if isinstance(output, tuple) else states
