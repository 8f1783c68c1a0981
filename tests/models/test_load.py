from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import reference
import torch
from safetensors.torch import load_file, save_file

from iclmech._base import ModelError
from iclmech.models import load_model
from iclmech.models._tokenizer import differs, garbled


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


def spoiled(path: Path, tiny_path, **files: bytes | None) -> Path:
    """A copy of the tiny GPT-2 with some files replaced, or taken away."""
    shutil.copytree(tiny_path("gpt2"), path)
    for name, content in files.items():
        file = path / name.replace("__", ".")
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"config__json": b"[1, 2]"}, r"holds a list\. Expected an object"),
        ({"config__json": b"{not json"}, r"it is no JSON .* copy it again"),
        ({"config__json": b"{}"}, "could not be loaded: .* Expected a shipped model"),
        ({"config__json": b'{"model_type": "gpt2", "n_layer": "x"}'}, "could not be loaded"),
        ({"model__safetensors": b"\x10" * 40}, "Expected complete safetensors files; copy or download"),
        ({"model__safetensors": None}, "could not be loaded"),
        ({"tokenizer__json": None, "tokenizer_config__json": None}, "Are its files there"),
        ({"tokenizer__json": b"{}"}, "could not be loaded"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_damaged_directory_is_refused_with_a_way_out(files, text, tiny_path, tmp_path):
    with pytest.raises(ModelError, match=text):
        load_model(spoiled(tmp_path / "copy", tiny_path, **files))


def test_cut_weights_are_refused(tiny_path, tmp_path):
    whole = (tiny_path("gpt2") / "model.safetensors").read_bytes()
    with pytest.raises(ModelError, match="Expected complete safetensors"):
        load_model(spoiled(tmp_path / "copy", tiny_path, model__safetensors=whole[: len(whole) // 2]))


def test_weights_that_are_not_in_the_files_are_not_made_up(tiny_path, tmp_path):
    """transformers would draw them at random."""
    path = spoiled(tmp_path / "copy", tiny_path)
    weights = load_file(path / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 weights \(transformer\.h\.1\.mlp\.c_fc\.weight.*random"):
        load_model(path)


def test_pickled_weights_that_torch_refuses(tiny_path, tmp_path):
    """An object that runs something when it is unpickled."""

    class Runs:
        def __reduce__(self):
            return (print, ("unpickled",))

    path = spoiled(tmp_path / "copy", tiny_path, model__safetensors=None)
    torch.save({"x": Runs()}, path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="Expected safetensors; torch refuses pickled weights"):
        load_model(path)


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:77"])
def test_devices_that_are_not_there(device, tiny_path):
    with pytest.raises(
        ModelError, match=rf"got device='{device}', which cannot be used here: .* Expected one of \['cpu'"
    ):
        load_model(tiny_path("gpt2"), device=device)


def test_a_tokenizer_that_contradicts_its_file_is_read_from_the_file(tiny_path, tmp_path):
    """transformers picks Qwen2's class by the model's type; on another tokenizer's file it gives other ids."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    words = ["<bos>", "<eos>", "<unk>", "the", "a", "film", "was", "negative", "positive", "(", ")"]
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    shutil.copytree(tiny_path("qwen2"), tmp_path / "copy")
    (tmp_path / "copy" / "tokenizer.json").unlink()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")
    made.save_pretrained(tmp_path / "copy")
    wrong = AutoTokenizer.from_pretrained(tmp_path / "copy")
    assert wrong("the film was", add_special_tokens=False)["input_ids"] != [3, 5, 6]  # else this shows nothing
    model = load_model(tmp_path / "copy")
    assert model.tokenize("the film was") == [3, 5, 6]
    assert model.tokenize(" positive") == [8]
    assert model.hooked.tokenizer("the film was", add_special_tokens=False)["input_ids"] == [3, 5, 6]


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_tokenizers_are_held_against_their_files(family, tiny_path, tiny_tokenizer):
    assert differs(tiny_tokenizer, tiny_path(family) / "tokenizer.json") == ""
    assert garbled(tiny_tokenizer) == ""


def test_a_tokenizer_that_loses_words_is_found(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(type(tiny_tokenizer), "decode", lambda self, ids, **_: "the film was")
    assert "' negative' comes back as 'the film was'" in garbled(tiny_tokenizer)
