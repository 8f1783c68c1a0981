"""The small GPT-2 is an ordinary one: to transformers, to `load_model` and to `capture`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from iclmech._base import ModelError
from iclmech.models import load_model
from iclmech.training import GPT2Config, SmallGPT2, build_optimizers, export_gpt2, soft_rows

CONFIG = GPT2Config(n_layers=2, d_model=32, n_heads=2, n_ctx=11)
WORDS = ["<bos>", "x1", "x2", "x3", "y"]


def net(soft: bool = True) -> SmallGPT2:
    return SmallGPT2(CONFIG, len(WORDS), torch.Generator().manual_seed(3), soft)


def test_transformers_computes_what_was_trained(tmp_path: Path) -> None:
    mine = net(soft=False)
    plain = GPT2LMHeadModel.from_pretrained(export_gpt2(mine, tmp_path, WORDS)).eval()
    rows = torch.randn(3, 9, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = mine.logits(mine(rows))
        assert expected.std() > 0.1
        assert (plain(inputs_embeds=rows).logits - expected).abs().max() < 1e-5
        ids = torch.tensor([[0, 3, 1, 4, 2]])
        assert (plain(ids).logits - mine.logits(mine(mine.embed(ids)))).abs().max() < 1e-5


def test_load_model_passes_it(tmp_path: Path) -> None:
    model = load_model(export_gpt2(net(), tmp_path, WORDS))
    assert dict(model.capabilities.checks)["forward"] == "equals the plain model"
    assert model.capabilities.edits == "pattern"


def test_half_precision_is_the_rounded_net(tmp_path: Path) -> None:
    mine = net()
    model = load_model(export_gpt2(mine, tmp_path, WORDS, torch.float16))
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.copy_(parameter.half().float())
        rows = torch.randn(2, 7, 32)
        assert (model.forward(rows) - mine.logits(mine(rows))).abs().max() < 1e-5


def test_soft_tokens_read_points_through_the_embedding_alone() -> None:
    x, y = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    table = torch.randn(5, 32)
    rows = soft_rows(table, x, y)
    by_hand = sum(x[1, 2, i].float() * table[1 + i] for i in range(3))
    assert torch.allclose(rows[1, 4], by_hand, atol=1e-6)
    assert torch.allclose(rows[1, 5], y[1, 2].float() * table[4])
    with pytest.raises(ModelError, match="one token for each dimension"):
        soft_rows(table, x[..., :2], y)


def test_only_y_is_ever_read_out() -> None:
    mine = net()
    optimizers = build_optimizers(mine, "muon")
    assert len(optimizers[0].param_groups[0]["params"]) == 12  # six matrices of each block
    mine.logits(mine(torch.randn(2, 5, 32)))[..., -1].square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
    assert not mine.lm_head.weight[:-1].any()
    assert mine.lm_head.weight[-1].any()


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="12 positions; this net has 11"):
        net()(torch.zeros(1, 12, 32))
    with pytest.raises(ModelError, match="multiple of n_heads"):
        SmallGPT2(GPT2Config(d_model=30, n_heads=4), 5)
    with pytest.raises(ModelError, match="this net has 5 tokens"):
        export_gpt2(net(), "nowhere", WORDS[:4])
