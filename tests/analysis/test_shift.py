"""Sizes and cosines of shifts by hand; CKA against features whose alignment is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iclmech.analysis import metrics


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_shift_size_and_cosine_by_hand() -> None:
    zs = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    x = torch.tensor([[[3.0, 14.0]], [[1.0, 0.0]]])
    y = torch.tensor([[[10.0, 4.0]], [[1.0, 1.0]]])
    size = metrics.shift_size(zs, x)
    assert size[0, 0].item() == pytest.approx(2.0)
    assert size[1, 0].isnan()
    cosine = metrics.shift_cosine(zs, x, y)
    assert cosine[0, 0].item() == pytest.approx(0.0, abs=1e-7)
    assert cosine[1, 0].item() == pytest.approx(2**-0.5)
    assert metrics.shift_cosine(zs, x, zs).isnan().all()


def test_displacement_is_one_minus_the_cosine_down_to_small_angles() -> None:
    zs, icl, ft = (gaussian(5, 2, 16, seed=s) for s in range(3))
    plain = 1 - torch.cosine_similarity(zs.double(), icl.double(), dim=-1)
    torch.testing.assert_close(metrics.displacement(zs, icl).double(), plain, atol=1e-6, rtol=0)
    assert metrics.displacement(zs, -2 * zs).allclose(torch.tensor(2.0))
    turned = torch.tensor([[[1.0, 1e-4]]])
    assert metrics.displacement(torch.tensor([[[1.0, 0.0]]]), turned).item() == pytest.approx(5e-9, rel=1e-3)
    null = 0.5 * (metrics.displacement(zs, icl) * metrics.displacement(zs, ft)).sqrt()
    torch.testing.assert_close(metrics.null_closed_form(zs, icl, ft), null)
    icl[0, 1] = 0
    assert metrics.displacement(zs, icl).isnan().nonzero().tolist() == [[0, 1]]


def plain_debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """The estimator written out with its matrices, as in Song et al. 2012, equation 5."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        one = np.ones(n)
        trace = np.trace(k @ m)
        return (trace + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)) / (
            n * (n - 3)
        )

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_cka_equals_the_formula_and_ignores_rotation_scale_and_mean() -> None:
    x, y = gaussian(20, 2, 5), gaussian(20, 2, 5, seed=1) + gaussian(20, 2, 5)
    got = metrics.linear_cka(x, y)
    for layer in range(2):
        expected = plain_debiased_cka(x[:, layer].double().numpy(), y[:, layer].double().numpy())
        assert got[layer].item() == pytest.approx(expected, abs=1e-5)
    rotation = torch.linalg.qr(gaussian(5, 5, seed=2)).Q
    torch.testing.assert_close(metrics.linear_cka(x, 3 * x @ rotation + 7), torch.ones(2), atol=1e-5, rtol=0)


def test_unrelated_gaussians_have_no_cka() -> None:
    """The plain estimator gives .75 here."""
    x, y = gaussian(256, 1, 768), gaussian(256, 1, 768, seed=1)
    assert abs(metrics.linear_cka(x, y).item()) < 0.05


def test_cka_without_variation_or_with_too_few_queries_is_nan() -> None:
    x = gaussian(8, 1, 3)
    assert metrics.linear_cka(x, torch.ones(8, 1, 3)).isnan().all()
    assert metrics.linear_cka(x[:3], x[:3]).isnan().all()
