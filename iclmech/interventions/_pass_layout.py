"""What an intervention is told about a forward pass, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iclmech._base import ICLMechError
from iclmech.models import HookFn, ICLModel


class InterventionError(ICLMechError, ValueError):
    """A change to a forward pass that cannot be made on this model or these prompts."""


@dataclass(frozen=True)
class Layout:
    """Where things stand in the tensors of a forward pass: `prefix` tokens first, then each row's own, padded right.

    With `cached` the prefix is not computed in this pass: tensors begin at the rows' own tokens, and only the keys of
    attention still count it. A pass over the prefix alone has one row of no own tokens.
    """

    prefix: int
    lengths: tuple[int, ...]  # own tokens of each row
    index: tuple[int, ...]  # which of the rows of the whole run each row is
    prefix_tokens: tuple[int, ...] | None = None  # ids; None where they are not known
    tokens: tuple[tuple[int, ...] | None, ...] = ()  # own ids of each row; None for rows of embeddings
    queries: tuple[int | None, ...] = ()  # which query of the prompt set each row is, where it is one
    cached: bool = False

    @property
    def first(self) -> int:
        """Absolute position of the first token that this pass computes."""
        return self.prefix if self.cached else 0

    @property
    def width(self) -> int:
        """Number of keys: the prefix and the longest row."""
        return self.prefix + max(self.lengths, default=0)

    def sequence(self, row: int) -> tuple[int, ...]:
        """All ids of a row, the prefix's first. Raises `InterventionError` where they are not known."""
        own = self.tokens[row] if row < len(self.tokens) else None
        if own is None or self.prefix_tokens is None:
            raise InterventionError(
                "this intervention goes by the roles of tokens, and the pass has no token ids (rows of embeddings). "
                "Give positions instead of roles."
            )
        return (*self.prefix_tokens, *own)


Spec = tuple[str, int, HookFn]
Intervention = Callable[[ICLModel, Layout], Sequence[Spec]]
"""What changes a forward pass: a function of the model and the layout that returns hooks (site, layer, function)."""


def check_layers(model: ICLModel, layers: Sequence[int] | int | None) -> tuple[int, ...]:
    """Layers as non-negative numbers, all by default. Raises `InterventionError` for one that the model lacks."""
    n = model.shape.n_layers
    wanted = range(n) if layers is None else [layers] if isinstance(layers, int) else list(layers)
    wrong = [layer for layer in wanted if not -n <= layer < n]
    if wrong:
        raise InterventionError(f"got layer {wrong[0]}; {model.name} has layers 0 to {n - 1}.")
    return tuple(dict.fromkeys(layer % n for layer in wanted))


def check_heads(n_heads: int, heads: Sequence[int] | int | None) -> list[int] | None:
    """Heads as non-negative numbers, None for all. Raises `InterventionError` for one that is not there."""
    if heads is None:
        return None
    wanted = [heads] if isinstance(heads, int) else list(heads)
    wrong = [head for head in wanted if not -n_heads <= head < n_heads]
    if wrong:
        raise InterventionError(f"got head {wrong[0]}; this site has heads 0 to {n_heads - 1}.")
    return [head % n_heads for head in wanted]
