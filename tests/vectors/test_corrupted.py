"""Every query behind demonstrations whose labels were permuted for it alone."""

from __future__ import annotations

import pytest

from iclmech._base import PromptError
from iclmech.vectors._corrupted import corrupted


def test_every_query_has_a_labelling_of_its_own_and_keeps_its_inputs(tiny_model, head_prompts):
    prompts = head_prompts(tiny_model("gpt2"), k=6)
    broken = corrupted(prompts, seed=3)
    labellings = set()
    for query, before in zip(broken.queries, prompts.queries, strict=True):
        mine, old = broken.contexts[query.context], prompts.contexts[before.context]
        assert (query.tokens, query.label) == (before.tokens, before.label)
        assert [d.text for d in mine.demonstrations] == [d.text for d in old.demonstrations]
        assert sorted(d.label for d in mine.demonstrations) == sorted(d.label for d in old.demonstrations)
        assert [d.label for d in mine.demonstrations] != [d.label for d in old.demonstrations]
        labellings.add((before.context, tuple(d.label for d in mine.demonstrations)))
    assert len(labellings) == len(prompts.queries)


def test_nothing_to_permute_is_refused(tiny_model, head_prompts):
    with pytest.raises(PromptError, match="two or more demonstrations"):
        corrupted(head_prompts(tiny_model("gpt2"), k=1))
