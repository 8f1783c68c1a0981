"""Prompts that are one long row: all prefixes at once are the prefixes one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

import iclmech as icl
from iclmech._base import CaptureError
from iclmech.mini import mini_model_dir

FAMILY = icl.functions.LinearRegression(d=5, noise=0.5)


@pytest.fixture(scope="module")
def model():
    return icl.load_model("fn-linear")


@pytest.fixture(scope="module")
def plain():
    return AutoModelForCausalLM.from_pretrained(mini_model_dir("fn-linear"), dtype=torch.float32).eval()


def rows_of(plain, prompts) -> torch.Tensor:
    table = plain.transformer.wte.weight.detach()
    rows = [table[0].expand(len(prompts), -1)]
    for n in range(prompts.n_examples):
        rows.append(prompts.x[:, n].float() @ table[1:6])
        rows.append(prompts.y[:, n, None].float() * table[6])
    return torch.stack(rows, 1)


def test_every_prefix_has_the_states_of_plain_transformers(model, plain) -> None:
    prompts = FAMILY.prompts(5, 12, seed=1)
    acts = icl.capture(model, prompts, "icl", ("resid_post", "logits"))
    with torch.no_grad():
        out = plain(inputs_embeds=rows_of(plain, prompts)[:, :24], output_hidden_states=True)
    assert acts["resid_post"].shape == (5, 4, 12, 64)
    assert (acts["resid_post"][:, 1] - out.hidden_states[2][:, 1::2]).abs().max() < 1e-4  # states reach 20
    assert (acts["logits"][..., -1] - out.logits[:, 1::2, -1]).abs().max() < 1e-5
    values = icl.capture(model, prompts, "icl", ("resid_post",), "values")
    assert (values["resid_post"][:, 1, :11] - out.hidden_states[2][:, 2::2]).abs().max() < 1e-4


def test_zero_shot_is_the_point_alone(model, plain) -> None:
    prompts = FAMILY.prompts(3, 4, seed=2)
    acts = icl.capture(model, prompts, "zs", ("logits",))
    rows = rows_of(plain, prompts)
    with torch.no_grad():
        alone = plain(inputs_embeds=torch.stack([rows[2, 0], rows[2, 5]])[None]).logits[0, -1, -1]
    assert abs(float(acts["logits"][2, 2, -1] - alone)) < 1e-5
    assert acts.setting == "zs"
    assert acts.dims["logits"] == ("query", "position", "d_vocab")


def test_the_last_place_has_no_axis(model) -> None:
    prompts = FAMILY.prompts(3, 4, seed=2)
    last = icl.capture(model, prompts, "icl", ("attn_out", "attn_pattern"), "last")
    whole = icl.capture(model, prompts, "icl", ("attn_out", "attn_pattern"))
    assert last.dims["attn_out"] == ("query", "layer", "d_model")
    assert (last["attn_out"] - whole["attn_out"][:, :, -1]).abs().max() < 1e-5
    assert torch.allclose(whole["attn_pattern"].nansum(-1), torch.ones(3, 4, 4, 4), atol=1e-5)


def test_paths_agree_and_places_are_checked(model) -> None:
    prompts = FAMILY.prompts(3, 4, seed=2)
    found = [icl.capture(model, prompts, "icl", ("logits",), path=path)["logits"] for path in ("fast", "uncached")]
    assert (found[0] - found[1]).abs().max() < 1e-4
    with pytest.raises(CaptureError, match="queries, values, last"):
        icl.capture(model, prompts, "icl", ("logits",), "label")
