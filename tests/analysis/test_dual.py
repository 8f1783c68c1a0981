"""With linear attention the virtual update is exactly what the context adds; with softmax the parts sum to z."""

from __future__ import annotations

import pytest
import torch

from iclmech.analysis import AnalysisError, circuit


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_linear_attention() -> None:
    """One layer, written out with the inputs: ΔW_ICL q is the context's contribution."""
    w_k, w_v, w_q = (gaussian(1, 2, 8, 4, seed=n) for n in range(3))
    context, own, last = gaussian(1, 6, 8, seed=3), gaussian(1, 3, 8, seed=4), gaussian(8, seed=5)
    delta = circuit.virtual_update(*circuit.keys_and_values(context, w_k, w_v))
    for head in range(2):
        q = last @ w_q[0, head]
        both = torch.cat([context[0], own[0]])

        def attend(x: torch.Tensor, head: int = head, q: torch.Tensor = q) -> torch.Tensor:
            return ((x @ w_k[0, head]) @ q) @ (x @ w_v[0, head])

        assert (attend(both) - attend(own[0]) - delta[0, head] @ q).abs().max() <= 1e-6


def test_update_in_dual_form() -> None:
    x = gaussian(2, 5, 8)
    w_k, w_v, d_k, d_v = (gaussian(2, 3, 8, 4, seed=n + 1) for n in range(4))
    bias = gaussian(2, 3, 4, seed=9)
    before = circuit.keys_and_values(x, w_k, w_v, b_v=bias)
    after = circuit.keys_and_values(x, w_k + d_k, w_v + d_v, b_v=bias)
    delta = circuit.update_in_dual_form(before, after)
    gram = x[1].T @ x[1]
    wanted = (w_v + d_v)[1, 2].T @ gram @ (w_k + d_k)[1, 2] - w_v[1, 2].T @ gram @ w_k[1, 2]
    wanted += bias[1, 2][:, None] * (x[1] @ d_k[1, 2]).sum(0)[None]
    torch.testing.assert_close(delta[1, 2], wanted)
    assert circuit.update_in_dual_form(before, before).abs().max() == 0


def test_compare_maps() -> None:
    a = gaussian(1, 1, 6, 2) @ gaussian(1, 1, 2, 6, seed=1)
    same = circuit.compare_maps(a, 3 * a, rank=2)
    for name in ("cosine", "left", "right"):
        assert same[name].item() == pytest.approx(1, abs=1e-5)
    assert 1 <= same["rank_a"].item() <= 2
    assert circuit.compare_maps(a, -a, rank=2)["cosine"].item() == pytest.approx(-1)
    assert circuit.compare_maps(torch.eye(6)[None, None], torch.eye(6)[None, None])["rank_b"].item() == pytest.approx(6)
    zero = circuit.compare_maps(a, torch.zeros_like(a), rank=2)
    assert zero["cosine"].isnan().all()
    assert zero["rank_b"].isnan().all()
    with pytest.raises(AnalysisError, match="rank 1 to d_head"):
        circuit.compare_maps(a, a, rank=7)


def test_softmax_parts_sum_to_z() -> None:
    p = torch.softmax(gaussian(1, 1, 1, 9), dim=-1)
    v = gaussian(1, 1, 1, 9, 4, seed=1)
    z = torch.einsum("qlhc,qlhcd->qlhd", p, v)
    added, left, rest = circuit.softmax_decomposition(p[..., 1:6], v[..., 1:6, :], z)
    torch.testing.assert_close(added + left[..., None] * rest, z)
    own = [0, 6, 7, 8]
    torch.testing.assert_close(rest, torch.einsum("qlhc,qlhcd->qlhd", p[..., own] / p[..., own].sum(), v[..., own, :]))
    assert circuit.softmax_decomposition(p, v, z)[2].isnan().all()


def test_momentum() -> None:
    v = gaussian(3, 2)
    out = circuit.momentum_attention(torch.zeros(3, 2).double(), v, 0.5)
    torch.testing.assert_close(out, torch.stack([0 * v[0], 0.5 * v[0], 0.25 * v[0] + 0.5 * v[1]]))
    with pytest.raises(AnalysisError, match=r"eta=1\.0"):
        circuit.momentum_attention(v, v, 1.0)
