"""Which token plays which part in a sequence of a prompt set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from iclmech.tasks import Context, PromptSet, Query, Span

from ._errors import InterventionError

_SHORT = {"bos": "bos", "template": "template", "text": "text", "forerunner": "s", "label": "y", "separator": "sep"}
_NAMES = ("bos", "template", "text", "s", "y", "sep", "template_q", "text_q", "s_q", "y_q")
_CODE = {name: number for number, name in enumerate(_NAMES)}
_GROUPS = {"x": ("text", "template"), "x_q": ("text_q", "template_q")}
_GROUPS |= {"query": tuple(n for n in _NAMES if n.endswith("_q")), "context": _NAMES[:6]}

ROLE_NAMES: tuple[str, ...] = (*_NAMES, *_GROUPS)
"""Names of token groups: x (text and template), s (forerunner: the last token before the label), y (label), sep, bos
for the demonstrations; x_q, s_q for the query, y_q for a label that was appended to it; text and template apart;
"context" and "query" for everything on either side."""


_KEPT = 512  # tables of sequences that are kept: many edits ask for the same ones


@dataclass(frozen=True)
class RoleTable:
    """The part of every token of one sequence (-1: unknown), and the demonstration it belongs to (-1: none)."""

    codes: Int[Tensor, " token"]
    owner: Int[Tensor, " token"]

    @classmethod
    def of(cls, names: Sequence[str], owner: Sequence[int] | None = None) -> RoleTable:
        """A table from one single name per token: bos, template, text, s, y, sep, template_q, text_q, s_q or y_q.

        Args:
            names: what each token is, for rows that are given as embeddings or belong to no prompt set.
            owner: the demonstration each token belongs to, -1 for none; all -1 by default.

        Raises:
            InterventionError: for a name that is not one token's, or another number of owners.

        >>> RoleTable.of(["text", "y", "text_q", "s_q"], [0, 0, -1, -1]).select("x_q").tolist()
        [False, False, True, False]
        """
        wrong = [name for name in names if name not in _CODE]
        owner = [-1] * len(names) if owner is None else list(owner)
        if wrong or len(owner) != len(names):
            got = f"the role {wrong[0]!r}" if wrong else f"{len(owner)} owners for {len(names)} tokens"
            raise InterventionError(f"got {got}; expected for every token one of {', '.join(_NAMES)}.")
        return cls(torch.tensor([_CODE[name] for name in names], dtype=torch.long), torch.tensor(owner))

    @classmethod
    def unknown(cls, n: int) -> RoleTable:
        """A table of tokens that belong to no group."""
        return cls(torch.full((n,), -1), torch.full((n,), -1))

    @classmethod
    def of_context(cls, context: Context) -> RoleTable:
        """The parts of BOS and the demonstrations."""
        n = len(context.tokens)
        owner = [-1] * n
        for number, d in enumerate(context.demonstrations):
            stop = d.context_start + len(d.tokens) - 1 + len(context.separator)
            owner[d.context_start : stop] = [number] * (stop - d.context_start)
        return cls(torch.tensor(_codes(context.spans, n, "")), torch.tensor(owner))

    @classmethod
    def of_query(cls, query: Query) -> RoleTable:
        """The parts of a query's own tokens."""
        codes = _codes(query.spans, len(query.tokens), "_q")
        return cls(torch.tensor(codes), torch.full((len(codes),), -1))

    def then(self, other: RoleTable) -> RoleTable:
        """This table with another one's tokens behind it."""
        return RoleTable(torch.cat([self.codes, other.codes]), torch.cat([self.owner, other.owner]))

    def select(self, names: str | Sequence[str]) -> Bool[Tensor, " token"]:
        """Which tokens belong to any of the groups. Raises `InterventionError` for an unknown name."""
        chosen = torch.zeros(len(self.codes), dtype=torch.bool)
        for code in codes_of(names):
            chosen |= self.codes == code
        return chosen


def codes_of(names: str | Sequence[str]) -> list[int]:
    """Numbers behind names of token groups. Raises `InterventionError` for an unknown name."""
    found: list[int] = []
    for name in (names,) if isinstance(names, str) else names:
        if name not in ROLE_NAMES:
            raise InterventionError(f"got the role {name!r}; expected one of {', '.join(ROLE_NAMES)}.")
        found += [_CODE[n] for n in _GROUPS.get(name, (name,))]
    return found


class TokenRoles:
    """Finds the parts of tokens by comparing a pass's ids with the contexts and queries of a prompt set."""

    def __init__(self, prompts: PromptSet):
        self.bos, self._prompts = prompts.bos, prompts
        self._known: dict[tuple[int, ...], RoleTable] = {}

    @cached_property
    def _queries(self) -> dict[tuple[int, ...], tuple[Span, ...]]:
        return {tuple(q.tokens): tuple(q.spans) for q in self._prompts.queries}

    @cached_property
    def _before(self) -> dict[tuple[int, ...], RoleTable]:
        found = {(self.bos,): RoleTable.of(["bos"])}
        return found | {tuple(c.tokens): RoleTable.of_context(c) for c in self._prompts.contexts}

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(tokens) for tokens in self._before}, reverse=True)

    def table(self, tokens: Sequence[int]) -> RoleTable:
        """Parts of a sequence: a context (or BOS alone), then a query of the set and perhaps a label, or nothing.

        Raises `InterventionError` for a sequence that is none of the prompt set's.
        """
        tokens = tuple(tokens)
        if tokens not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[tokens] = self._found(tokens)
        return self._known[tokens]

    def _found(self, tokens: tuple[int, ...]) -> RoleTable:
        for length in self._lengths:
            before = self._before.get(tokens[:length])
            own = self._own(tokens[length:])
            if before is not None and own is not None:
                return before.then(RoleTable(torch.tensor(own, dtype=torch.long), torch.full((len(own),), -1)))
        raise InterventionError(
            f"a sequence of {len(tokens)} tokens is none of the prompt set that this intervention was made for. "
            "Make the intervention with the same prompts that are run."
        )

    def _own(self, tokens: tuple[int, ...]) -> list[int] | None:
        if not tokens:
            return []
        for length in range(len(tokens), 0, -1):
            spans = self._queries.get(tokens[:length])
            if spans is not None:
                return _codes(spans, length, "_q") + [_CODE["y_q"]] * (len(tokens) - length)
        return None


def _codes(spans: Sequence[Span], length: int, suffix: str) -> list[int]:
    codes = [0] * length
    for span in spans:
        name = _SHORT[span.role] if span.role == "bos" else _SHORT[span.role] + suffix
        codes[span.start : span.stop] = [_CODE[name]] * (span.stop - span.start)
    return codes
