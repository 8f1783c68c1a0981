"""The label-specific similarity: nought for label recency, positive for a mapping, against plain loops, and what is masked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from iclmech.analysis import AnalysisError, metrics

A, B, J = (1, 2, 3, 4), (5, 6, 7, 8), (9, 10)
SETS = {"baseline_icl": A, "baseline_ft": B, "others": J}
K, D, TOYS = 8, 24, 3000


def permuted(truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Other labels that keep half of each of two classes, [demonstration]."""
    labels = truth.copy()
    for c in (0, 1):
        rows = generator.permutation(np.flatnonzero(truth == c))
        labels[rows[: len(rows) // 2]] = 1 - c
    return labels


def toys(recency: float, mapping: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(icl, ft, ft in the prompt's order): many toys, one on each place of the query axis.

    Recency: the label that comes last pushes both sides along one direction. Mapping: each demonstration's features,
    signed by its label, are added on both sides.
    """
    generator = np.random.default_rng(0)
    label_direction = generator.normal(size=D)
    shape = (11, TOYS, D)
    sides = [0.5 * generator.normal(size=shape) for _ in range(3)]
    for toy in range(TOYS):
        truth = np.arange(K) % 2
        labels = np.stack([truth, *(permuted(truth, generator) for _ in range(10))])
        features = generator.normal(size=(K, D)) + (2 * truth[:, None] - 1) * generator.normal(size=D)
        prompt, order = generator.permutation(K), generator.permutation(K)
        sign = 2 * labels - 1
        learnt = mapping * sign @ features / K
        for side, last in zip(sides, (prompt[-1], order[-1], prompt[-1]), strict=True):
            side[:, toy] += recency * sign[:, last, None] * label_direction + learnt
    return tuple(torch.from_numpy(side)[:, :, None] for side in sides)  # type: ignore[return-value]


def mean_and_error(values: torch.Tensor) -> tuple[float, float]:
    return values.mean().item(), values.std().item() / math.sqrt(values.numel())


def test_label_recency_alone_gives_nought_in_an_order_of_its_own() -> None:
    icl, ft, same = toys(recency=1.0, mapping=0.0)
    found = metrics.sim_aou_labels(icl, ft, **SETS, same_order=same)
    mean, error = mean_and_error(found.delta)
    assert abs(mean) < 3 * error
    assert error < 0.02
    assert found.same_order is not None
    mean, error = mean_and_error(found.same_order)
    assert mean > 20 * error, "in the prompt's own order recency passes for learning"


def test_a_mapping_is_found_beside_recency() -> None:
    icl, ft, _ = toys(recency=1.0, mapping=2.0)
    mean, error = mean_and_error(metrics.sim_aou_labels(icl, ft, **SETS).delta)
    assert mean > 20 * error


def test_a_baseline_that_leaves_one_out_is_biased_and_this_is_not() -> None:
    """Whatever a labelling does on both sides, right labels on one side only have nothing in common with wrong ones."""
    shared = torch.randn(11, TOYS, 1, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    crossed, error = mean_and_error(metrics.sim_aou_labels(shared, shared, **SETS).crossed)
    assert abs(crossed) < 3 * error
    m = 6
    rest = [(shared[:m].sum(0) - shared[i]) / (m - 1) for i in range(m)]
    shift = torch.stack([shared[i] - rest[i] for i in range(m)])
    left_out = torch.stack([torch.cosine_similarity(shift[0], shift[j], dim=-1) for j in range(1, m)]).mean()
    assert left_out.item() == pytest.approx(-1 / (m - 1), abs=0.01)


def test_it_equals_plain_loops() -> None:
    generator = torch.Generator().manual_seed(2)
    icl, ft = torch.randn(11, 3, 2, 6, generator=generator), torch.randn(11, 2, 3, 2, 6, generator=generator)
    found = metrics.sim_aou_labels(icl, ft, **SETS)
    x, y = icl.double().numpy(), ft.double().numpy()

    def s(i: int, j: int, o: int, q: int, layer: int) -> float:
        a = x[i, q, layer] - x[list(A), q, layer].mean(0)
        b = y[j, o, q, layer] - y[list(B), o, q, layer].mean(0)
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    for q, layer in np.ndindex(3, 2):
        at = [(o, q, layer) for o in range(2)]
        right = np.mean([s(0, 0, *w) for w in at])
        crossed = np.mean([0.5 * (s(0, j, *w) + s(j, 0, *w)) for w in at for j in J])
        assert found.right[q, layer].item() == pytest.approx(right, abs=1e-6)
        assert found.crossed[q, layer].item() == pytest.approx(crossed, abs=1e-6)
        assert found.matched[q, layer].item() == pytest.approx(np.mean([s(j, j, *w) for w in at for j in J]), abs=1e-6)
        assert found.delta[q, layer].item() == pytest.approx(right - crossed, abs=1e-6)
    assert found.same_order is None


def test_draws_that_keep_most_labels_are_left_out() -> None:
    truth = torch.tensor([0, 1] * 5)
    labels = torch.stack([truth, *[truth.roll(1)] * 10])
    labels[3], labels[10] = truth, torch.cat([truth[:9], 1 - truth[9:]])
    kept = metrics.share_kept(labels)
    assert kept[[0, 1, 3, 10]].tolist() == pytest.approx([1, 0, 1, 0.9])
    h = torch.randn(11, 4, 2, 6, generator=torch.Generator().manual_seed(3))
    found = metrics.sim_aou_labels(h, h.flip(-1), **SETS, kept=kept)
    assert found.draws == (3, 4, 1)
    without = metrics.sim_aou_labels(h, h.flip(-1), baseline_icl=(1, 2, 4), baseline_ft=B, others=(9,))
    torch.testing.assert_close(found.delta, without.delta)
    none_left = metrics.sim_aou_labels(h, h, **SETS, kept=torch.ones(11))
    assert none_left.delta.isnan().all()
    assert none_left.delta.shape == (4, 2)


def test_deviations_without_length_are_masked() -> None:
    generator = torch.Generator().manual_seed(4)
    icl, ft = torch.randn(11, 3, 1, 6, generator=generator), torch.randn(11, 3, 1, 6, generator=generator)
    icl[:, 0] = icl[0, 0] * (1 + 1e-7 * torch.arange(11)[:, None, None])  # labels do nothing to this query: rounding
    ft[9, 1] = torch.nan  # one draw diverged: the other stands
    ft[0, 2] = torch.nan
    found = metrics.sim_aou_labels(icl, ft, **SETS)
    assert found.delta.isnan().flatten().tolist() == [True, False, True]
    only = metrics.sim_aou_labels(icl, ft, baseline_icl=A, baseline_ft=B, others=(10,))
    assert found.delta[1].item() == pytest.approx(only.delta[1].item())


def test_sets_that_overlap_and_shapes_that_differ_are_refused() -> None:
    h = torch.randn(11, 3, 1, 6)
    with pytest.raises(AnalysisError, match="in common"):
        metrics.sim_aou_labels(h, h, baseline_icl=(1, 2), baseline_ft=(2, 3), others=(4,))
    with pytest.raises(AnalysisError, match="0 is the true one"):
        metrics.sim_aou_labels(h, h, baseline_icl=(0, 2), baseline_ft=(1, 3), others=(4,))
    with pytest.raises(AnalysisError, match="the same labellings"):
        metrics.sim_aou_labels(h, h[:, :2], **SETS)
    with pytest.raises(AnalysisError, match="axis of orders"):
        metrics.sim_aou_labels(h[:, 0], h, **SETS)
