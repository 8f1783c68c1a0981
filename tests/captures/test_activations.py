from __future__ import annotations

import pytest
import torch

from iclmech._base import CaptureError, FileError
from iclmech.captures import Activations, capture


@pytest.fixture
def acts(tiny_model, prompts_for) -> Activations:
    return capture(tiny_model("gpt2"), prompts_for(tiny_model("gpt2")), "icl", ("attn_out", "attn_scores", "q"))


def test_a_file_brings_everything_back(acts, tmp_path):
    path = acts.save(tmp_path / "acts.safetensors")
    back = Activations.load(path)
    assert list(back) == list(acts)
    for site in acts:
        assert torch.equal(back[site].nan_to_num(9), acts[site].nan_to_num(9))
    assert (back.dims, back.setting, back.layers, back.meta) == (acts.dims, acts.setting, acts.layers, acts.meta)
    assert torch.equal(back.label_scores, acts.label_scores)
    assert torch.equal(back.target_scores, acts.target_scores)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileError):
        Activations.load(tmp_path / "absent.safetensors")


def test_a_site_that_was_not_captured(acts):
    assert "attn_out" in acts
    assert "z" not in acts
    with pytest.raises(CaptureError, match=r"'z' was not captured; got attn_out, attn_scores, q"):
        acts["z"]


def test_axes_are_named(acts):
    assert acts.dims["attn_out"] == ("query", "layer", "d_model")
    assert acts.dims["attn_scores"] == ("query", "layer", "head", "key")
    assert acts.dims["q"] == ("query", "layer", "head", "d_head")
    assert "attn_out: query 7 × layer 3 × d_model 32" in repr(acts)
    assert "<table>" in acts._repr_html_()
    assert "7 queries" in acts._repr_html_()


def test_everything_is_float32_on_the_cpu(fresh_model, prompts_for):
    model = fresh_model("llama", dtype=torch.bfloat16)
    half = capture(model, prompts_for(model), "icl", ("attn_out", "attn_scores", "logits"))
    assert {value.dtype for value in half.data.values()} == {torch.float32}
    assert half.label_scores.dtype == torch.float32
    whole = capture(fresh_model("llama"), prompts_for(model), "icl", ("attn_out",))
    gap = (half["attn_out"] - whole["attn_out"]).norm() / whole["attn_out"].norm()
    assert 0 < float(gap) < 0.05


def test_float64_is_kept(fresh_model, prompts_for):
    model = fresh_model("gpt2", dtype=torch.float64)
    acts = capture(model, prompts_for(model), "icl", ("attn_out",))
    assert acts["attn_out"].dtype == acts.label_scores.dtype == torch.float64
