"""Which token plays which part."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech.interventions import InterventionError, TokenRoles


def test_parts_of_a_prompt(tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model("gpt2")
    prompts = toy_prompts(model)
    roles = TokenRoles(prompts)
    for j, query in enumerate(prompts.queries):
        context = prompts.contexts[query.context]
        table = roles.table(prompts.sequence(j))
        start = len(context.tokens)
        assert table.select("bos").nonzero().flatten().tolist() == [0]
        assert table.select("s_q").nonzero().flatten().tolist() == [start + len(query.tokens) - 1]
        assert table.select("query").nonzero().flatten().tolist() == list(range(start, start + len(query.tokens)))
        for n, d in enumerate(context.demonstrations):
            mine = table.owner == n
            tokens = torch.tensor(prompts.sequence(j))
            assert tokens[mine & table.select(["x", "s"])].tolist() == d.tokens[1 : d.label_span[0]]
            assert tokens[mine & table.select("y")].tolist() == d.tokens[slice(*d.label_span)]
            assert tokens[mine & table.select("sep")].tolist() == context.separator
        every = sum(table.select(name).int() for name in ("bos", "x", "s", "y", "sep", "x_q", "s_q"))
        assert (every == 1).all()


def test_zero_shot_and_an_appended_label(tiny_model: Any, toy_prompts: Any) -> None:
    prompts = toy_prompts(tiny_model("gpt2"))
    query = prompts.queries[1]
    table = TokenRoles(prompts).table([prompts.bos, *query.tokens, 77, 78])
    n = len(query.tokens)
    assert table.select("s_q").nonzero().flatten().tolist() == [n]
    assert table.select("y_q").nonzero().flatten().tolist() == [n + 1, n + 2]
    assert not table.select("context")[1:].any()
    with pytest.raises(InterventionError, match="none of the prompt set"):
        TokenRoles(prompts).table([prompts.bos, 5, 5, 5])
    with pytest.raises(InterventionError, match="expected one of bos"):
        table.select("verb")
