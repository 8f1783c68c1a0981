from __future__ import annotations

import torch
from transformers import GPTNeoConfig, LlamaConfig, MistralConfig, Qwen2Config

from iclmech.models import allowed_keys, softmax_allowed
from iclmech.models._scores import grouped_scores
from iclmech.models.backends._attention_windows import windows_of


def test_allowed_keys_in_plain_loops():
    for window in (None, 2, 5):
        mask = allowed_keys(3, 7, window)
        for query in range(3):
            for key in range(7):
                at = 4 + query
                assert bool(mask[query, key]) == (key <= at and (window is None or at - key < window))


def test_grouped_heads_read_their_key_head():
    q, k = (torch.randn(2, 5, heads, 3, generator=torch.Generator().manual_seed(heads)) for heads in (4, 2))
    scores = grouped_scores(q, k, 0.5)
    assert scores.shape == (2, 4, 5, 5)
    assert torch.allclose(scores[1, 3, 4, 2], 0.5 * (q[1, 4, 3] @ k[1, 2, 1]), atol=1e-6)
    assert torch.allclose(scores[0, 1, 0, 1], 0.5 * (q[0, 0, 1] @ k[0, 1, 0]), atol=1e-6)


def test_softmax_over_what_is_there():
    scores = torch.tensor([[1.0, float("nan"), 1.0]])
    assert torch.equal(softmax_allowed(scores), torch.tensor([[0.5, 0.0, 0.5]]))


def test_windows():
    assert windows_of(LlamaConfig(num_hidden_layers=2), 2) == [None, None]
    neo = GPTNeoConfig(num_layers=2, attention_types=[[["global", "local"], 1]], window_size=6)
    assert windows_of(neo, 2) == [None, 6]
    assert windows_of(MistralConfig(num_hidden_layers=2, sliding_window=9), 2) == [9, 9]
    qwen = Qwen2Config(num_hidden_layers=3, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    assert windows_of(qwen, 3) == [None, 4, 4]
    assert windows_of(Qwen2Config(num_hidden_layers=2), 2) == [None, None]
    assert windows_of(None, 1) == [None]
