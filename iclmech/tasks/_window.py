"""What fits into the window."""

from __future__ import annotations

from collections.abc import Sequence

from ._prompt_parts import Demonstration, Query


def query_cost(query: Query, longest_label: int) -> int:
    """Tokens of a query, of the longest answer after it, and one more for what is read at the answer's first token."""
    return len(query.tokens) + max(longest_label, len(query.target_tokens or ())) + 1


def context_room(n_ctx: int | None, queries: Sequence[Query], label_tokens: Sequence[Sequence[int]]) -> int | None:
    """How many tokens a context (BOS included) may have so that every query and answer fits after it; None: any number."""
    if n_ctx is None:
        return None
    longest_label = max((len(tokens) for tokens in label_tokens), default=0)
    return n_ctx - max((query_cost(q, longest_label) for q in queries), default=0)


def fitting(demonstrations: Sequence[Demonstration], separator: Sequence[int], room: int | None) -> int:
    """How many whole demonstrations, from the first, fit into `room` tokens together with BOS."""
    used = 1
    for count, demonstration in enumerate(demonstrations):
        used += len(demonstration.tokens) - 1 + len(separator)
        if room is not None and used > room:
            return count
    return len(demonstrations)
