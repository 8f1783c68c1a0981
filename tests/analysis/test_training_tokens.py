"""Attention to training tokens: which tokens count, both sides by hand, rank agreement against scipy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from iclmech.analysis import AnalysisError, metrics

# BOS, demonstration 0 (3 tokens), separator, demonstration 1 (2 tokens), separator
CONTEXT = SimpleNamespace(
    tokens=[0, 11, 12, 13, 9, 21, 22, 9],
    demonstrations=[
        SimpleNamespace(tokens=[0, 11, 12, 13], context_start=1),
        SimpleNamespace(tokens=[0, 21, 22], context_start=5),
    ],
)


def test_owner_of_each_token() -> None:
    assert metrics.demonstration_of_token(CONTEXT).tolist() == [-1, 0, 0, 0, -1, 1, 1, -1]


def test_in_context_side_sums_heads_then_takes_the_softmax() -> None:
    scores = torch.randn(2, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    owner = metrics.demonstration_of_token(CONTEXT)
    got = metrics.icl_training_attention(scores, owner >= 0)
    summed = scores[1, 0].sum(0)[[1, 2, 3, 5, 6]].double().numpy()
    np.testing.assert_allclose(got[1, 0], np.exp(summed) / np.exp(summed).sum(), rtol=1e-5)
    by_demonstration = metrics.per_demonstration(got, owner[owner >= 0])
    torch.testing.assert_close(by_demonstration[..., 0], got[..., :3].sum(-1))
    torch.testing.assert_close(by_demonstration.sum(-1), torch.ones(2, 1))
    with pytest.raises(AnalysisError, match="7 for 8"):
        metrics.icl_training_attention(scores, torch.ones(7, dtype=torch.bool))


def test_update_side_concatenates_heads() -> None:
    generator = torch.Generator().manual_seed(1)
    q, t = torch.randn(2, 1, 3, 4, generator=generator), torch.randn(5, 1, 3, 4, generator=generator)
    logits = np.array([[q[i, 0].flatten() @ t[j, 0].flatten() for j in range(5)] for i in range(2)])
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(metrics.ft_training_attention(q, t)[:, 0], expected, rtol=1e-4)


def test_rank_agreement() -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.rand(3, 2, 9, generator=generator), torch.rand(3, 2, 9, generator=generator)
    tau = metrics.kendall(a, b)
    assert tau[1, 1].item() == pytest.approx(kendalltau(a[1, 1].numpy(), b[1, 1].numpy()).statistic)
    torch.testing.assert_close(metrics.kendall(a, a), torch.ones(3, 2))
    assert metrics.kendall(a, torch.ones(3, 2, 9)).isnan().all()
    x, y = torch.tensor([[[5.0, 4, 3, 2, 1]]]), torch.tensor([[[5.0, 1, 4, 2, 3]]])
    assert metrics.top_k_recall(x, y, k=2).item() == 0.5
    with pytest.raises(AnalysisError, match="k=0"):
        metrics.top_k_recall(x, y, k=0)
