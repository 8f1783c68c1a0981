from __future__ import annotations

import gc
import weakref

import pytest
import torch

from iclmech._base import ModelError
from iclmech.models import Twin, attention, twin_of, user_hooks
from iclmech.models.twin._twin import attend


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_weights_are_shared_not_copied(family, tiny_model):
    model = tiny_model(family)
    twin = twin_of(model)
    assert isinstance(twin, Twin)
    assert twin_of(model) is twin
    mine = {tensor.untyped_storage().data_ptr() for tensor in model.hooked.original_model.parameters()}
    own = [p for p in twin.base.parameters() if p.untyped_storage().data_ptr() not in mine]
    assert len(own) == (
        6 if family == "gpt_neox" else 0
    )  # fused weight and bias of every layer, where the bridge copies
    assert not twin.base.training
    assert len(twin.blocks) == len(twin.attention) == len(twin.mlp) == 3


def test_models_without_one(tiny_model, native_model, tiny_tokenizer):
    assert str(twin_of(tiny_model("gpt_neo"))).startswith("no plain twin")
    assert "has no plain transformers model inside" in str(twin_of(native_model(tiny_tokenizer)))


def test_it_is_built_again_when_weights_move(fresh_model):
    model = fresh_model("llama")
    twin = twin_of(model)
    parameter = model.parameters()[0]
    parameter.tensor.data = parameter.tensor.data.clone()
    assert not twin.follows()
    assert twin_of(model) is not twin
    assert isinstance(twin_of(model), Twin)


def test_it_goes_with_its_model(fresh_model):
    model = fresh_model("gpt2")
    gone = weakref.ref(twin_of(model))
    del model
    gc.collect()
    assert gone() is None


def test_hooks_of_anybody_are_seen(fresh_model):
    model = fresh_model("gpt2")
    assert not user_hooks(model)
    with model.hooks([("z", 0, lambda tensor: None)]):
        assert user_hooks(model)
    handle = model.hooked.blocks[0].ln1.register_forward_pre_hook(lambda module, args: None)
    assert user_hooks(model)
    handle.remove()
    assert not user_hooks(model)
    model.hooked.run_with_cache(torch.tensor([[0, 5, 6]]))  # parameters hooks of the libraries behind
    assert not user_hooks(model)


def test_attention_of_another_kind_is_refused():
    x = torch.zeros(1, 1, 2, 4)
    with pytest.raises(ModelError, match="softcap"):
        attend(None, x, x, x, None, softcap=3.0)
    with pytest.raises(ModelError, match="a mask"):
        attend(None, x, x, x, torch.zeros(2, 2))


def test_attention_in_plain_loops():
    make = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, heads, 5, 4, generator=make) for heads in (4, 2, 2))
    mask = torch.zeros(5, 5).masked_fill(torch.ones(5, 5).triu(1) > 0, float("-inf"))
    out = attention(q, k, v, 0.3, mask)
    assert torch.allclose(out, attention(q, k, v, 0.3, None), atol=1e-6)
    for head in range(4):
        scores = 0.3 * q[0, head] @ k[0, head // 2].T + mask
        assert torch.allclose(out[0, :, head], torch.softmax(scores, -1) @ v[0, head // 2], atol=1e-6)
