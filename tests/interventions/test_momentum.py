"""Attention with momentum against the formula on the model's own z and values."""

from __future__ import annotations

import pytest
import torch

from iclmech.analysis import circuit
from iclmech.captures import Row, iter_run
from iclmech.interventions import InterventionError, momentum_attention
from iclmech.interventions._momentum import momentum_weights


def states(model, change, site):
    tokens = torch.randint(5, model.shape.d_vocab, (9,), generator=torch.Generator().manual_seed(0)).tolist()
    row = Row(tokens, tuple(range(9)))
    (chunk,) = iter_run(model, [model.bos], [row], (site,), interventions=change, path="uncached")
    return chunk.values[site][0]  # [token, layer, ...]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_it_adds_the_moving_average_of_past_values(family, tiny_model):
    """Layer 0, whose values are as before; BOS's value is that of a head that reads BOS alone."""
    model = tiny_model(family)
    change = momentum_attention(0.4, layers=0, heads=[1, 3])
    z, new = states(model, (), "z")[:, 0], states(model, [change], "z")[:, 0]
    v = states(model, (), "v")[:, 0]
    v = v.repeat_interleave(4 // v.shape[1], 1)
    ids = [[model.bos]]
    seen = {}
    with model.hooks([("v", 0, lambda t: seen.__setitem__("v", t.clone()))]):
        model.forward(torch.tensor(ids))
    bos = seen["v"][0].repeat_interleave(4 // seen["v"].shape[2], 1)  # [1, head, d]
    for head in range(4):
        values = torch.cat([bos[:, head], v[:, head]])
        whole = torch.cat([torch.zeros(1, z.shape[-1]), z[:, head]])
        wanted = circuit.momentum_attention(whole, values, 0.4)[1:] if head in (1, 3) else z[:, head]
        torch.testing.assert_close(new[:, head], wanted, atol=1e-5, rtol=1e-4)


def test_the_control_has_the_same_weights_on_other_past_tokens():
    plain, shuffled = momentum_weights(8, 0.5), momentum_weights(8, 0.5, seed=1)
    torch.testing.assert_close(plain.sort(dim=1).values, shuffled.sort(dim=1).values)
    assert torch.equal(shuffled, shuffled.tril(-1))
    assert not torch.equal(plain, shuffled)
    assert torch.equal(shuffled, momentum_weights(8, 0.5, seed=1))
    torch.testing.assert_close(momentum_weights(12, 0.5, seed=1)[:8, :8], shuffled)  # the same in longer prompts


def test_refusal():
    with pytest.raises(InterventionError, match="got eta=1"):
        momentum_attention(1.0)
