from __future__ import annotations

import pytest
import reference
import torch

from iclmech.models import weights_view


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_the_view_reproduces_the_head_outputs(family, tiny_model):
    """z·W_O summed over heads (+ b_O) is attn_out; x·W_K (+ bias) is k; resid·W_U after the norm is the logits."""
    model = tiny_model(family)
    view, seen = weights_view(model), {}
    sites = [("z", 1), ("attn_out", 1), ("k", 1)]
    specs = [(site, layer, lambda t, site=site: seen.__setitem__(site, t.detach())) for site, layer in sites]
    with torch.no_grad(), model.hooks(specs):
        model.forward(torch.tensor([[0, 5, 6]]))
    out = torch.einsum("bphd,hdm->bpm", seen["z"], view.W_O[1]) + view.b_O[1]
    assert torch.allclose(out, seen["attn_out"], atol=1e-5)
    assert view.W_K.shape == view.W_Q.shape == view.W_V.shape == (3, 4, 32, 8)
    assert view.W_U.shape == (32, model.shape.d_vocab)
    assert torch.allclose(view.W_QK[2, 1], view.W_Q[2, 1] @ view.W_K[2, 1].T, atol=1e-6)
    group = 4 // model.shape.n_kv_heads
    parameter = next(parameter for parameter in model.parameters() if (parameter.layer, parameter.kind) == (1, "k"))
    for head in range(4):
        assert torch.equal(view.W_K[1, head], parameter.canonical(parameter.tensor.detach())[head // group])


def test_an_update_shows(fresh_model):
    model = fresh_model("gpt2")
    before = weights_view(model)
    with torch.no_grad():
        model.parameters()[0].tensor.add_(1)
    after = weights_view(model)
    assert torch.allclose(after.W_K[0], before.W_K[0] + 1)
    assert torch.equal(after.W_K[1], before.W_K[1])
