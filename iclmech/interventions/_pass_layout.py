"""What an intervention is told about a forward pass, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iclmech.models import HookFn, ICLModel

from ._errors import InterventionError
from ._token_roles import RoleTable, TokenRoles


@dataclass(frozen=True)
class Layout:
    """Where things stand in the tensors of a forward pass: `prefix` tokens first, then each row's own, padded right.

    With `cached` the prefix is not computed in this pass: tensors begin at the rows' own tokens, and only the keys of
    attention still count it. A pass over the prefix alone has one row of no own tokens.
    """

    prefix: int
    lengths: tuple[int, ...]  # own tokens of each row
    index: tuple[int, ...]  # which of the rows of the whole run each row is; (-1,) in a pass over the prefix alone
    prefix_tokens: tuple[int, ...] | None = None  # ids; None where they are not known
    tokens: tuple[tuple[int, ...] | None, ...] = ()  # own ids of each row; None for rows of embeddings
    queries: tuple[int | None, ...] = ()  # which query of the prompt set each row is, where it is one
    cached: bool = False
    answers: tuple[int, ...] = ()  # how many tokens at the end of each row are an answer put behind its query
    roles: TokenRoles | None = None  # of the prompt set that is run
    tables: tuple[RoleTable | None, ...] = ()  # roles of each row's own tokens, where they are given
    prefix_table: RoleTable | None = None

    @property
    def first(self) -> int:
        """Absolute position of the first token that this pass computes."""
        return self.prefix if self.cached else 0

    @property
    def width(self) -> int:
        """Number of keys: the prefix and the longest row."""
        return self.prefix + max(self.lengths, default=0)

    @property
    def prefix_alone(self) -> bool:
        """Whether this pass encodes the prefix for rows that come later."""
        return self.index == (-1,)

    def end(self, row: int) -> int:
        """Absolute position behind the last token of a row's query: an answer that was put behind it does not count."""
        answer = self.answers[row] if row < len(self.answers) else 0
        return self.prefix + self.lengths[row] - answer

    def sequence(self, row: int) -> tuple[int, ...]:
        """All ids of a row, the prefix's first. Raises `InterventionError` where they are not known."""
        own = self.tokens[row] if row < len(self.tokens) else None
        if own is None or self.prefix_tokens is None:
            raise InterventionError(
                "this intervention goes by the roles of tokens, and the pass has no token ids (rows of embeddings). "
                "Give positions instead of roles, or a RoleTable with the rows (Row.roles)."
            )
        return (*self.prefix_tokens, *own)

    def role_table(self, row: int, given: TokenRoles | None = None) -> RoleTable:
        """The part of every token of a row, the prefix's first: from the row's own table, `given`, or the prompts run.

        Raises `InterventionError` where nothing says what the tokens are.
        """
        own = self.tables[row] if row < len(self.tables) else None
        if own is not None or (self.prefix_alone and self.prefix_table is not None):
            before = self.prefix_table if self.prefix_table is not None else RoleTable.unknown(self.prefix)
            return before if own is None else before.then(own)
        source = given or self.roles
        if source is not None:
            return source.table(self.sequence(row))
        self.sequence(row)
        raise InterventionError(
            "this intervention goes by the roles of tokens, and nothing says what they are in this pass; "
            "give prompts=, the prompt set that is run, or a RoleTable with the rows (Row.roles)."
        )


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
