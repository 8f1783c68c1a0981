"""Which token plays which part in a sequence of a prompt set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from iclmech.tasks import PromptSet, Span

from ._pass_layout import InterventionError

_SHORT = {"bos": "bos", "template": "template", "text": "text", "forerunner": "s", "label": "y", "separator": "sep"}
_NAMES = ("bos", "template", "text", "s", "y", "sep", "template_q", "text_q", "s_q", "y_q")
_CODE = {name: number for number, name in enumerate(_NAMES)}
_GROUPS = {"x": ("text", "template"), "x_q": ("text_q", "template_q")}
_GROUPS |= {"query": tuple(n for n in _NAMES if n.endswith("_q")), "context": _NAMES[:6]}

ROLE_NAMES: tuple[str, ...] = (*_NAMES, *_GROUPS)
"""Names of token groups: x (text and template), s (forerunner: the last token before the label), y (label), sep, bos
for the demonstrations; x_q, s_q for the query, y_q for a label that was appended to it; text and template apart;
"context" and "query" for everything on either side."""


@dataclass(frozen=True)
class RoleTable:
    """The part of every token of one sequence, and the demonstration it belongs to (-1: none)."""

    codes: Int[Tensor, " token"]
    owner: Int[Tensor, " token"]

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
        self.bos = prompts.bos
        self._contexts = {tuple(c.tokens): c for c in prompts.contexts}
        self._queries = {tuple(q.tokens): q.spans for q in prompts.queries}
        self._lengths = sorted({len(tokens) for tokens in self._contexts}, reverse=True)
        self._before: dict[tuple[int, ...], tuple[list[int], list[int]]] = {(self.bos,): ([_CODE["bos"]], [-1])}
        for tokens, context in self._contexts.items():
            owner = [-1] * len(tokens)
            for number, d in enumerate(context.demonstrations):
                stop = d.context_start + len(d.tokens) - 1 + len(context.separator)
                owner[d.context_start : stop] = [number] * (stop - d.context_start)
            self._before[tokens] = (_codes(context.spans, len(tokens), ""), owner)

    def table(self, tokens: Sequence[int]) -> RoleTable:
        """Parts of a sequence: a context (or BOS alone), then a query of the set and perhaps a label, or nothing.

        Raises `InterventionError` for a sequence that is none of the prompt set's.
        """
        tokens = tuple(tokens)
        for length in (*self._lengths, 1):
            before = self._before.get(tokens[:length])
            own = self._own(tokens[length:])
            if before is not None and own is not None:
                codes, owner = torch.tensor(before[0] + own), torch.tensor(before[1] + [-1] * len(own))
                return RoleTable(codes, owner)
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
