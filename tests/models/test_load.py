from __future__ import annotations

import pytest
import reference
import torch

from iclmech._base import ModelError
from iclmech.models import load_model


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_a_directory_gives_the_plain_models_numbers(family, tiny_model, tiny_hf):
    model, plain = tiny_model(family), tiny_hf(family)
    tokens = torch.tensor([[0, 70, 71, 200, 5, 9, 33, 100, 101, 102]])
    with torch.no_grad():
        assert torch.allclose(model.forward(tokens), plain(tokens).logits, atol=1e-4)
    assert dict(model.capabilities.checks)["forward"] == "equals the plain model"
    assert (model.shape.n_layers, model.shape.n_heads, model.shape.d_model, model.shape.n_ctx) == (3, 4, 32, 256)
    assert model.shape.n_kv_heads == (2 if family in ("llama", "qwen2") else 4)
    assert model.dtype == torch.float32
    assert not model.hooked.training


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_asked_for(dtype, fresh_model):
    model = fresh_model("llama", dtype=dtype)
    assert model.dtype == dtype
    assert model.forward(torch.tensor([[0, 5]])).dtype == dtype


def test_float32_whatever_the_file_holds(tiny_hf, tiny_tokenizer, tmp_path):
    tiny_hf("gpt2", dtype=torch.bfloat16).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    assert load_model(tmp_path).dtype == torch.float32


def test_refusals(tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="is not a directory"):
        load_model(tmp_path / "absent")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(tmp_path)


def test_progress_bars_are_left_as_they_were(fresh_model, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    fresh_model("gpt2")
    assert logging.is_progress_bar_enabled() == before
    assert capfd.readouterr().err == ""
