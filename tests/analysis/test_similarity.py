"""SimAOU, SimAM and the null against loops in plain numpy, values worked out by hand, and what must be masked."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iclmech.analysis import AnalysisError, metrics


def gaussian(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def numpy_sim_aou(zs: torch.Tensor, icl: torch.Tensor, ft: torch.Tensor) -> np.ndarray:
    z, i, f = (t.double().numpy() for t in (zs, icl, ft))
    out = np.zeros(z.shape[:2])
    for q, layer in np.ndindex(*z.shape[:2]):
        a = i[q, layer] / np.linalg.norm(i[q, layer]) - z[q, layer] / np.linalg.norm(z[q, layer])
        b = f[q, layer] / np.linalg.norm(f[q, layer]) - z[q, layer] / np.linalg.norm(z[q, layer])
        out[q, layer] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return out


def test_sim_aou_by_hand() -> None:
    zs, icl, ft = (torch.tensor([[v]]) for v in ([2.0, 0, 0], [0, 3.0, 0], [0, 0, 5.0]))
    # unit shifts (-1, 1, 0) and (-1, 0, 1): cosine 1/2 although ICL and the update did unrelated things
    assert metrics.sim_aou(zs, icl, ft).item() == pytest.approx(0.5)
    assert metrics.null_closed_form(zs, icl, ft).item() == pytest.approx(0.5)
    assert metrics.sim_aou(zs, icl, torch.tensor([[[1.0, -1.0, 0]]])).item() < 0


def test_sim_aou_equals_the_plain_loop() -> None:
    zs, icl, ft = (gaussian(5, 3, 8, seed=s) for s in range(3))
    got = metrics.sim_aou({"attn_out": zs}, {"attn_out": icl}, {"attn_out": ft})
    assert got.shape == (5, 3)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), numpy_sim_aou(zs, icl, ft), atol=1e-6)


def test_small_shifts_keep_their_direction() -> None:
    zs = gaussian(4, 2, 16)
    icl, ft = zs + 1e-3 * gaussian(4, 2, 16, seed=1), zs + 1e-3 * gaussian(4, 2, 16, seed=2)
    np.testing.assert_allclose(metrics.sim_aou(zs, icl, ft).numpy(), numpy_sim_aou(zs, icl, ft), atol=1e-5)
    c = [torch.cosine_similarity(x.double(), zs.double(), dim=-1) for x in (icl, ft)]
    expected = 0.5 * ((1 - c[0]) * (1 - c[1])).sqrt()
    np.testing.assert_allclose(metrics.null_closed_form(zs, icl, ft).numpy(), expected.numpy(), rtol=1e-4)


def test_self_similarity_is_one_and_scale_does_not_matter() -> None:
    zs, icl, ft = (gaussian(6, 2, 5, seed=s) for s in range(3))
    torch.testing.assert_close(metrics.sim_aou(zs, icl, icl), torch.ones(6, 2))
    torch.testing.assert_close(metrics.sim_aou(zs, icl, ft), metrics.sim_aou(zs * 7, icl * 0.1, ft * 3))
    scores = [gaussian(6, 2, 3, 4, seed=s) for s in range(2)]
    torch.testing.assert_close(metrics.sim_am(scores[0], scores[1], scores[1]), torch.ones(6, 2, 3))


def test_the_null_matches_isotropic_displacements() -> None:
    """Displaced in unrelated directions from one zero-shot state, the mean SimAOU is the null, not zero."""
    n, d = 4000, 64
    zs = gaussian(1, 1, d, seed=3).expand(n, 1, d)
    zs = zs / zs.norm(dim=-1, keepdim=True)

    def displaced(size: float, seed: int) -> torch.Tensor:
        return zs + size * gaussian(n, 1, d, seed=seed) / math.sqrt(d)

    for size_icl, size_ft in ((0.5, 1.0), (1.0, 3.0), (3.0, 3.0)):
        icl, ft = displaced(size_icl, 4), displaced(size_ft, 5)
        simulated = metrics.sim_aou(zs, icl, ft)
        null = metrics.null_closed_form(zs, icl, ft)
        error = simulated.std().item() / math.sqrt(n)
        assert abs(simulated.mean().item() - null.mean().item()) < 4 * error
        assert null.mean().item() > 20 * error  # and it is far from zero


def test_the_null_is_a_quarter_at_half() -> None:
    angle = math.pi / 3  # cos = .5
    zs = torch.tensor([[[1.0, 0, 0]]])
    icl = torch.tensor([[[math.cos(angle), math.sin(angle), 0]]])
    ft = torch.tensor([[[math.cos(angle), 0, math.sin(angle)]]])
    assert metrics.null_closed_form(zs, icl, ft).item() == pytest.approx(0.25)
    assert metrics.sim_aou(zs, icl, ft).item() == pytest.approx(0.25)


def test_the_former_name_of_the_null_works_and_names_the_new_one() -> None:
    states = [gaussian(3, 2, 8, seed=s) for s in range(3)]
    with pytest.warns(DeprecationWarning, match="null_closed_form"):
        old = metrics.closed_form_null(*states, tolerance=1e-3)
    assert torch.equal(old, metrics.null_closed_form(*states, tolerance=1e-3))


def test_shifts_without_length_are_masked_and_counted() -> None:
    zs, icl = gaussian(4, 2, 8), gaussian(4, 2, 8, seed=1)
    ft = gaussian(4, 2, 8, seed=2)
    ft[0, 0] = zs[0, 0]  # no shift
    ft[1, 0] = 2 * zs[1, 0]  # longer, but in the same direction
    ft[2, 0] = zs[2, 0] * (1 + 1e-7)  # rounding
    ft[3, 1] = torch.nan  # diverged
    icl[2, 1] = 0  # a state without length
    for value in (metrics.sim_aou(zs, icl, ft), metrics.null_closed_form(zs, icl, ft)):
        assert torch.isnan(value).int().tolist() == [[1, 0], [1, 0], [1, 1], [0, 1]]
        assert metrics.n_masked(value).tolist() == [3, 2]


def test_the_tolerance_follows_the_precision() -> None:
    zs = gaussian(1, 1, 8, dtype=torch.float64)
    icl = gaussian(1, 1, 8, seed=1, dtype=torch.float64)
    ft = zs + 1e-7 * gaussian(1, 1, 8, seed=2, dtype=torch.float64)
    assert metrics.sim_aou(zs, icl, ft).isnan().all()
    assert not metrics.sim_aou(zs, icl, ft, tolerance=1e-9).isnan().any()

    class Acts(dict):
        meta = SimpleNamespace()

    half = [Acts(attn_out=t.float()) for t in (zs, icl, zs + 1e-2 * icl)]
    assert not metrics.sim_aou(*half).isnan().any()
    for acts in half:
        acts.meta = {"dtype": "torch.bfloat16"}  # held in float32, computed in bfloat16
    assert metrics.sim_aou(*half).isnan().all()


def test_sim_am_equals_the_plain_loop_with_padding() -> None:
    zs, icl, ft = (gaussian(5, 2, 3, 6, seed=s) for s in range(3))
    lengths = [6, 5, 2, 4, 3]
    for q, length in enumerate(lengths):
        for scores in (zs, icl, ft):
            scores[q, ..., : 6 - length] = torch.nan
    got = metrics.sim_am(zs, icl, ft)
    assert got.shape == (5, 2, 3)
    for q, layer, head in np.ndindex(5, 2, 3):
        z, i, f = (t[q, layer, head, 6 - lengths[q] :].double().numpy() for t in (zs, icl, ft))
        expected = (i - z) @ (f - z) / (np.linalg.norm(i - z) * np.linalg.norm(f - z))
        assert got[q, layer, head].item() == pytest.approx(expected, abs=1e-6)
        dai = i @ f / (np.linalg.norm(i) * np.linalg.norm(f))
        assert metrics.attention_similarity(icl, ft)[q, layer, head].item() == pytest.approx(dai, abs=1e-6)


def test_one_token_queries_are_masked() -> None:
    zs, icl, ft = (gaussian(2, 1, 2, 3, seed=s) for s in range(3))
    for scores in (zs, icl, ft):
        scores[0, ..., :2] = torch.nan
    for value in (
        metrics.sim_am(zs, icl, ft),
        metrics.attention_similarity(icl, ft),
        metrics.sim_am_direction(zs, icl, ft),
    ):
        assert torch.isnan(value[0]).all()
        assert not torch.isnan(value[1]).any()


def test_rotary_rounding_is_masked() -> None:
    zs = 3 * gaussian(64, 1, 4, 5)
    icl = zs * (1 + 6e-6 * gaussian(64, 1, 4, 5, seed=1))  # what rotary positions do to layer 0 at offset 640
    assert metrics.sim_am(zs, icl, gaussian(64, 1, 4, 5, seed=2)).isnan().all()
    real = zs * (1 + 3e-3 * gaussian(64, 1, 4, 5, seed=1))
    assert not metrics.sim_am(zs, real, gaussian(64, 1, 4, 5, seed=2)).isnan().any()


def test_a_head_with_small_scores_is_measured_against_its_layer() -> None:
    zs = gaussian(1, 1, 2, 4)
    zs[0, 0, 1] *= 1e-4
    icl = zs.clone()
    icl[0, 0, 0] += 1
    icl[0, 0, 1] += 1e-5 * gaussian(4, seed=5)  # a tenth of the head's own scores, nothing to the softmax
    assert metrics.sim_am(zs, icl, icl)[0, 0].isnan().tolist() == [False, True]


@pytest.mark.parametrize("hidden", [-torch.inf, torch.finfo(torch.float32).min])
def test_keys_out_of_the_window_are_left_out(hidden: float) -> None:
    zs, icl, ft = (gaussian(3, 1, 2, 6, seed=s) for s in range(3))
    expected = metrics.sim_am(zs[..., 2:], icl[..., 2:], ft[..., 2:])
    for scores in (zs, icl, ft):
        scores[..., :2] = hidden
    torch.testing.assert_close(metrics.sim_am(zs, icl, ft), expected)


def test_a_diverged_update_is_masked_not_an_error() -> None:
    zs, icl, ft = (gaussian(2, 1, 2, 3, seed=s) for s in range(3))
    ft[0] = torch.nan
    assert metrics.sim_am(zs, icl, ft).isnan().tolist() == [[[True, True]], [[False, False]]]


def test_a_given_direction() -> None:
    zs, icl, ft = (gaussian(4, 2, 8, seed=s) for s in range(3))
    unit = [t / t.norm(dim=-1, keepdim=True) for t in (zs, ft)]
    torch.testing.assert_close(metrics.sim_aou_direction(zs, icl, unit[1] - unit[0]), metrics.sim_aou(zs, icl, ft))
    scores = [gaussian(4, 2, 3, 5, seed=s) for s in range(3)]
    got = metrics.sim_am_direction(scores[0], scores[1], scores[2] - scores[0])
    torch.testing.assert_close(got, metrics.sim_am(*scores))
    many = gaussian(2000, 1, 64, seed=7), gaussian(2000, 1, 64, seed=8), gaussian(2000, 1, 64, seed=9)
    assert abs(metrics.sim_aou_direction(*many).mean().item()) < 4 / math.sqrt(64 * 2000)


def test_errors_say_what_to_do() -> None:
    zs = gaussian(2, 1, 3)
    with pytest.raises(AnalysisError, match=r"\(2, 1, 3\), \(3, 1, 3\).*capture the same prompts"):
        metrics.sim_aou(zs, gaussian(3, 1, 3), zs)
    with pytest.raises(AnalysisError, match=r"do not hold 'attn_out'.*sites="):
        metrics.sim_aou({}, {}, {})
    with pytest.raises(AnalysisError, match="query, layer, head, key"):
        metrics.sim_am(zs, zs, zs)
    scores = gaussian(2, 1, 2, 3)
    padded = scores.clone()
    padded[0, ..., 0] = torch.nan
    with pytest.raises(AnalysisError, match="different tokens"):
        metrics.sim_am(padded, scores, scores)
    with pytest.raises(AnalysisError, match="direction of shape"):
        metrics.sim_am_direction(scores, scores, scores[..., 1:])


def test_more_axes_and_no_queries() -> None:
    zs, icl, ft = (gaussian(2, 3, 4, 8, seed=s) for s in range(3))  # one more axis: positions
    value = metrics.sim_aou(zs, icl, ft)
    assert value.shape == (2, 3, 4)
    torch.testing.assert_close(value[:, :, 1], metrics.sim_aou(zs[:, :, 1], icl[:, :, 1], ft[:, :, 1]))
    assert metrics.sim_aou(zs[:0], icl[:0], ft[:0]).shape == (0, 3, 4)
