"""What a name stands for; GGUF files, written here by the package that defines them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import reference
import torch

from iclmech._base import ModelError
from iclmech.mini import list_mini_models
from iclmech.models import _model_source as source, list_models, load_model


def permuted(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Queries and keys as GGUF files of Llamas hold them: halves of a head's entries interleaved."""
    return weight.view(heads, 2, -1, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def write_gguf(path: Path, plain: Any, quantised: bool) -> None:
    """A tiny Llama with its byte-level tokenizer; linear maps in Q8_0 if asked."""
    gguf = pytest.importorskip("gguf", reason="the extra `gguf` is not installed")
    config, writer = plain.config, gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    inner = json.loads(reference.make_tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(inner["vocab"], key=inner["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<bos>", "<eos>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in inner["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
        "lm_head": "output",
    }  # fmt: skip
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in plain.state_dict().items():
        value = next((permuted(tensor, n) for kind, n in heads.items() if kind in name), tensor)
        layer, _, rest = name.removeprefix("model.layers.").partition(".")
        stem = names[rest.removesuffix(".weight")] if name.startswith("model.layers.") else ""
        full = f"blk.{layer}.{stem}.weight" if stem else f"{names[name.removesuffix('.weight')]}.weight"
        array = value.float().numpy()
        kind = gguf.GGMLQuantizationType.Q8_0
        if quantised and "proj" in name and array.shape[-1] % 32 == 0:
            writer.add_tensor(full, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(full, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("as_directory", [True, False])
def test_a_gguf_file_gives_the_numbers_of_the_model_in_it(as_directory, tiny_hf, tiny_model, tmp_path, capfd):
    plain = tiny_hf("llama")
    write_gguf(tmp_path / "tiny.gguf", plain, quantised=False)
    model = load_model(tmp_path if as_directory else tmp_path / "tiny.gguf")
    tokens = torch.tensor([[0, 70, 71, 200, 5, 9, 33]])
    with torch.no_grad():
        assert torch.allclose(model.forward(tokens), plain(tokens).logits, atol=1e-4)
    assert model.origin == {"source": "GGUF file", "file": "tiny.gguf"}
    assert model.tokenize("a fine film") == tiny_model("llama").tokenize("a fine film")
    assert "de-quantizing" not in capfd.readouterr().err


def test_a_quantised_file_says_what_it_was_dequantised_from(tiny_hf, tmp_path):
    plain = tiny_hf("llama")
    write_gguf(tmp_path / "tiny.gguf", plain, quantised=True)
    model = load_model(tmp_path)
    assert model.origin["dequantised from"] == "Q8_0"
    assert repr(model).endswith("dequantised from Q8_0)")
    mine = next(p for p in model.parameters() if (p.layer, p.kind) == (1, "v")).tensor.detach()
    theirs = plain.model.layers[1].self_attn.v_proj.weight.detach()
    step = theirs.abs().amax(-1, keepdim=True) / 127  # Q8_0: blocks of 32 share a scale, rounded to half precision
    assert not torch.equal(mine, theirs)
    assert bool(((mine - theirs).abs() <= 0.51 * step + 1e-3 * theirs.abs()).all())
    assert model.untrained(0).origin["dequantised from"] == "Q8_0"


def test_a_cut_gguf_file_is_refused(tiny_hf, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", tiny_hf("llama"), quantised=False)
    whole = (tmp_path / "tiny.gguf").read_bytes()
    for size in (10, 300, len(whole) // 2):
        (tmp_path / "tiny.gguf").write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"tiny\.gguf.* could not be loaded: .* again"):
            load_model(tmp_path / "tiny.gguf")


def test_without_the_package_that_reads_them(tmp_path, monkeypatch):
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"the package that reads them is missing\. Run: pip install 'gguf>=0\.17'"):
        load_model(tmp_path / "x.gguf")


def test_names_of_files_that_are_not_there(tmp_path):
    with pytest.raises(ModelError, match="is not a file; expected a GGUF file"):
        load_model("nowhere/x.gguf")
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelError, match=r"no config\.json and 2 GGUF files; name the one"):
        load_model(tmp_path)


def test_what_is_listed_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(source, "installed", lambda name: None)
    assert list_models() == list_mini_models()
    with pytest.raises(
        ModelError, match=r"Get it with `iclmech get smollm2-135m`.*'HuggingFaceTB/SmolLM2-135M-Instruct'"
    ):
        load_model("smollm2-135m")
    monkeypatch.setattr(source, "installed", lambda name: tmp_path)
    assert list_models() == [*list_mini_models(), "smollm2-135m"]
