"""Our test and TransformerLens' detector on a perfect head and on tiny models."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech.analysis import AnalysisError
from iclmech.experiments import induction_heads
from iclmech.experiments._induction_heads import tl_head_scores


def test_the_detector_on_a_perfect_head() -> None:
    """What the table's docstring says of it: about one half with BOS, one without."""
    n = 40
    tokens = [0, *range(1, n + 1), *range(1, n + 1)]
    pattern = torch.zeros(1, 1, 2 * n + 1, 2 * n + 1)
    for t in range(2 * n + 1):
        pattern[0, 0, t, 0 if t <= n else t - n + 1] = 1
    assert tl_head_scores(pattern, tokens).item() == pytest.approx(40 / 81, abs=1e-6)
    assert tl_head_scores(pattern, tokens, exclude_bos=True).item() == pytest.approx(1)


@pytest.mark.parametrize("family", ["llama", "gpt_neo"])
def test_table(family: str, tiny_model: Any) -> None:
    model = tiny_model(family)
    table = induction_heads(model, n_tokens=12, n_rows=3).summary()
    assert len(table) == 12
    assert (table["low"] <= table["prefix_matching"] + 1e-9).all()
    assert table["prefix_matching"].is_monotonic_decreasing
    assert table.equals(induction_heads(model, n_tokens=12, n_rows=3).table)
    with pytest.raises(AnalysisError, match="within the window of 256"):
        induction_heads(model, n_tokens=200)
