"""Copying, induction and assignment on attention tensors whose answers are known."""

from __future__ import annotations

import pytest
import torch

from iclmech.analysis import AnalysisError, circuit


def test_copying_by_hand() -> None:
    """Two demonstrations, one layer, two heads; forerunners at 2 and 5."""
    pattern = torch.zeros(2, 1, 2, 7)
    pattern[0, 0, 0, 2], pattern[1, 0, 0, 5] = 0.75, 0.25  # head 0 copies
    pattern[0, 0, 1, 5], pattern[1, 0, 1, 2] = 0.9, 0.9  # head 1 looks at the wrong one
    copy = circuit.copy_magnitude(pattern, torch.tensor([2, 5]))
    assert copy[:, 0, 0].tolist() == [0.75, 0.25]
    assert copy[:, 0, 1].tolist() == [0, 0]
    assert circuit.forerunner_heads(copy, n_tokens=11).tolist() == [[True, False]]  # .5 > 5 / 11
    assert circuit.forerunner_heads(copy, n_tokens=10).tolist() == [[False, False]]  # .5 is not above 5 / 10


def attention() -> tuple[torch.Tensor, torch.Tensor]:
    """One query, one layer, three heads, four labels at 2, 4, 6, 8: 0 1 0 0."""
    pattern = torch.zeros(1, 1, 3, 10)
    pattern[0, 0, 0, [2, 4, 6, 8]] = torch.tensor([0.1, 0.4, 0.2, 0.1])
    pattern[0, 0, 1, [2, 4, 6, 8]] = 0.25
    return circuit.label_attention(pattern, torch.tensor([[2, 4, 6, 8]])), torch.tensor([[0, 1, 0, 0]])


def test_induction_by_hand() -> None:
    paid, labels = attention()
    assert circuit.induction_magnitude(paid)[0, 0].tolist() == pytest.approx([0.8, 1.0, 0.0])
    right = labels == 1
    assert circuit.induction_strength(paid, right)[0, 0].tolist() == pytest.approx([0.0, -0.5, 0.0], abs=1e-7)
    share = circuit.correct_induction(paid, right)[0, 0]
    assert share[:2].tolist() == pytest.approx([0.0, -0.5], abs=1e-7)  # 2 · 1/4 - 1 for even attention
    assert share[2].isnan()
    only_right = torch.tensor([[[[0.0, 0.3, 0.0, 0.0]]]])
    assert circuit.correct_induction(only_right, right).item() == pytest.approx(1)


def test_votes_and_assignment() -> None:
    paid, labels = attention()
    votes = circuit.vote(paid, labels, 2)
    assert votes[0, 0, 0].tolist() == pytest.approx([0.5, 0.5])
    assert votes[0, 0, 1].tolist() == pytest.approx([0.75, 0.25])
    hit, share = circuit.assigned(votes, torch.tensor([0]))
    assert hit[0, 0, :2].tolist() == [1, 1]
    assert share[0, 0, :2].tolist() == pytest.approx([0.5, 0.75])
    assert hit[0, 0, 2].isnan()
    assert share[0, 0, 2].isnan()
    with pytest.raises(AnalysisError, match="the same queries and demonstrations"):
        circuit.vote(paid, labels[:, :3], 2)


def test_assignment_in_the_residual_stream() -> None:
    """s_q lies near the labels of its own class, behind a large common part."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([[0, 1, 0, 1, 1, 0]])
    directions = torch.randn(2, 16, generator=generator)
    y = 100 + directions[labels][:, :, None] + 0.1 * torch.randn(1, 6, 1, 16, generator=generator)
    s_q = 100 + directions[1][None, None]
    weights = circuit.cosine_weights(s_q, y)
    assert weights.sum(-1).item() == pytest.approx(1)
    hit, share = circuit.assigned(circuit.vote(weights, labels, 2), torch.tensor([1]))
    assert hit.item() == 1
    assert share.item() > 0.8


def test_qk_weights_map_grouped_heads() -> None:
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(2, 3, 4, 5, generator=generator)
    k = torch.randn(2, 6, 3, 2, 5, generator=generator)
    weights = circuit.qk_weights(q, k, 0.5)
    for head in range(4):
        scores = torch.stack([(q[1, 2, head] * k[1, n, 2, head // 2]).sum() * 0.5 for n in range(6)])
        torch.testing.assert_close(weights[1, 2, head], scores.softmax(-1))
    with pytest.raises(AnalysisError, match="4 query heads on 3 key heads"):
        circuit.qk_weights(q, torch.zeros(2, 6, 3, 3, 5), 1.0)


def test_qk_weights_take_a_scale_for_each_layer() -> None:
    q, k = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 3, 2, 5)
    scales = torch.tensor([0.5, 0.25, 2.0])
    weights = circuit.qk_weights(q, k, scales)
    for layer, scale in enumerate(scales.tolist()):
        assert torch.allclose(weights[:, layer], circuit.qk_weights(q, k, scale)[:, layer])
