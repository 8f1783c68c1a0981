"""Prefix matching and copying on heads built by hand."""

from __future__ import annotations

import pytest
import torch

from iclmech.analysis import AnalysisError, circuit


def pattern_of(offset: int, n: int = 5, start: int = 1) -> torch.Tensor:
    """A head that attends exactly to t - n + offset in the second copy, to BOS elsewhere."""
    length = start + 2 * n
    pattern = torch.zeros(length, length)
    pattern[:, 0] = 1
    for t in range(start + n, length):
        pattern[t] = 0
        pattern[t, t - n + offset] = 1
    return pattern


def test_perfect_heads() -> None:
    heads = torch.stack([pattern_of(0), pattern_of(1), pattern_of(2)])[None, None]
    for offset in (0, 1, 2):
        score = circuit.prefix_matching(heads, 5, start=1, offset=offset)
        assert score[0, 0].tolist() == [float(head == offset) for head in range(3)]
    even = torch.ones(1, 1, 1, 11, 11).tril() / torch.arange(1, 12)[:, None]
    wanted = sum(1 / t for t in range(7, 12)) / 5
    assert circuit.prefix_matching(even, 5, start=1).item() == pytest.approx(wanted)
    with pytest.raises(AnalysisError, match="at least 13"):
        circuit.prefix_matching(even, 6, start=1)


def test_copying() -> None:
    """A head that writes the unembedding of the right token, and one that writes nothing of use."""
    w_u = torch.eye(6)
    by_head = torch.zeros(2, 1, 2, 6)
    by_head[0, 0, 0, 3] = by_head[1, 0, 0, 4] = 6.0
    score = circuit.copying(by_head, w_u, torch.tensor([3, 4]))
    assert score[:, 0, 0].tolist() == [5, 5]
    assert score[:, 0, 1].tolist() == [0, 0]
