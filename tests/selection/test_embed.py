"""Embeddings against plain passes over each text."""

from __future__ import annotations

import pytest
import torch

import iclmech as icl
from iclmech._base import PromptError
from iclmech.selection import embed
from iclmech.selection._embed import Pool


def test_against_one_pass_per_text() -> None:
    model = icl.load_model("icl-mini")
    texts = ["good film", "the slow film was dull", "bad", "dull film"]
    cases: list[tuple[int, Pool]] = [(1, "mean"), (-1, "last")]
    for layer, pool in cases:
        found = embed(model, texts, layer, pool)
        for text, vector in zip(texts, found, strict=True):
            _, cache = model.hooked.run_with_cache(torch.tensor([[model.bos, *model.tokenize(text)]]))
            block = f"blocks.{layer % 4}."
            states = cache[next(block + n for n in ("hook_resid_post", "hook_out") if block + n in cache)][0, 1:]
            expected = states.mean(0) if pool == "mean" else states[-1]
            torch.testing.assert_close(vector, expected.float(), atol=1e-5, rtol=1e-4)


def test_refusals() -> None:
    model = icl.load_model("icl-mini")
    with pytest.raises(PromptError, match="layer=4; expected"):
        embed(model, ["good"], layer=4)
    with pytest.raises(PromptError, match="no tokens"):
        embed(model, ["good", ""])
