"""Heads sum to attn_out on every family; shares sum to one; the lens's last layer is the prediction; subspaces."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech.analysis import AnalysisError, circuit
from iclmech.captures import capture
from iclmech.models import weights_view
from iclmech.tasks import Task, build_prompts

TASK = Task.from_records(
    [{"text": t, "label": n % 2} for n, t in enumerate(["fine", "dull", "it is", "great"])],
    [{"text": f"film {n}", "label": n % 2} for n in range(4)],
    template="{text}:",
    label_words=["a", "is"],
)


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "gpt_neo", "qwen2"])
def test_heads_sum_to_attention(family: str, tiny_model: Any) -> None:
    model = tiny_model(family)
    prompts = build_prompts(model, TASK, k=2, n_queries=3)
    sites = ("z", "attn_out", "mlp_out", "resid_post")
    icl, zs = (capture(model, prompts, setting, sites) for setting in ("icl", "zs"))
    weights = weights_view(model)
    by_head = circuit.attention_by_head(icl, weights)
    assert (by_head.sum(dim=2) + weights.b_O - icl["attn_out"]).abs().max() <= 1e-5
    some = capture(model, prompts, "icl", ("z",), layers=[2])
    torch.testing.assert_close(circuit.attention_by_head(some, weights), by_head[:, 2:], atol=1e-5, rtol=1e-4)
    shares = circuit.head_shares(zs, icl, weights)
    assert torch.allclose(shares.sum(-1), torch.ones(3, 3), atol=1e-4)
    assert torch.allclose(circuit.component_shares(zs, icl).sum(-1), torch.ones(3, 3), atol=1e-4)
    lens = circuit.label_trajectory(icl, model.readout, prompts.contexts[0].label_tokens)
    torch.testing.assert_close(lens[:, -1], icl.label_scores, atol=1e-5, rtol=1e-5)


def test_shares_by_hand() -> None:
    zs = {"attn_out": torch.zeros(1, 2, 3), "mlp_out": torch.zeros(1, 2, 3)}
    x = {"attn_out": torch.tensor([[[3.0, 0, 0], [0, 0, 0]]]), "mlp_out": torch.tensor([[[1.0, 0, 0], [0, 0, 0]]])}
    shares = circuit.component_shares(zs, x)
    assert shares[0, 0].tolist() == [0.75, 0.25]
    assert shares[0, 1].isnan().all()


def test_subspace_overlap() -> None:
    zs = gaussian(40, 2, 16)
    basis, other = torch.linalg.qr(gaussian(16, 16, seed=1))[0].split(3, dim=1)[:2]
    inside = gaussian(40, 2, 3, seed=2) @ basis.T
    again = gaussian(40, 2, 3, seed=3) @ basis.T
    outside = gaussian(40, 2, 3, seed=4) @ other.T
    assert circuit.subspace_overlap(zs, zs + inside, zs + again, 3).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert circuit.subspace_overlap(zs, zs + inside, zs + outside, 3).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert circuit.subspace_overlap(zs, zs, zs + inside, 3).isnan().all()
    free = circuit.subspace_overlap(zs, zs + gaussian(40, 2, 16, seed=5), zs + gaussian(40, 2, 16, seed=6), 4)
    assert abs(float(free.mean()) - 4 / 16) < 0.15


def test_refusals() -> None:
    with pytest.raises(AnalysisError, match="expected 1 to 2"):
        circuit.subspace_overlap(gaussian(2, 1, 4), gaussian(2, 1, 4), gaussian(2, 1, 4), 3)
    weights = type("W", (), {"W_O": torch.zeros(2, 2, 3, 4)})()
    with pytest.raises(AnalysisError, match="Name the captured layers"):
        circuit.attention_by_head(torch.zeros(1, 1, 2, 3), weights)
