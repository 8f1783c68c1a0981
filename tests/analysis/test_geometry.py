"""Kernel alignment against a second implementation; purity and centroids on planted classes; chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from iclmech.analysis import AnalysisError, circuit


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """scikit-learn's neighbours under the cosine metric; the item itself comes first and is dropped."""
    found = [NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(x).kneighbors(x)[1] for x in (a, b)]
    sides = [[{int(m) for m in row if m != n} for n, row in enumerate(side)] for side in found]
    return np.array([len(x & y) / k for x, y in zip(*sides, strict=True)])


@pytest.mark.parametrize("k", [1, 5, 20])
def test_kernel_alignment_against_scikit_learn(k: int) -> None:
    a = gaussian(60, 12)
    b = 0.7 * a @ gaussian(12, 30, seed=1) + gaussian(60, 30, seed=2)
    np.testing.assert_allclose(circuit.kernel_alignment(a, b, k).numpy(), by_hand(a.numpy(), b.numpy(), k), atol=1e-6)


def test_kernel_alignment_of_known_pairs() -> None:
    a = gaussian(512, 24)
    assert (circuit.kernel_alignment(a, a, 64) == 1).all()
    rotation = torch.linalg.qr(gaussian(24, 24, seed=3))[0]
    assert circuit.kernel_alignment(a, 3 * a @ rotation, 64).mean() > 0.999
    noise = circuit.kernel_alignment(a, gaussian(512, 24, seed=4), 64)
    error = float(noise.std()) / math.sqrt(len(noise))
    assert abs(float(noise.mean()) - 64 / 511) < 4 * error
    assert torch.equal(circuit.kernel_alignment(a, a[:, :8]), circuit.kernel_alignment(a, a[:, :8], 64)), "n / 8"


def test_duplicates_are_not_their_own_neighbours() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    assert circuit.kernel_alignment(a, a, 1).tolist() == [1, 1, 1, 1]
    classes = torch.tensor([0, 1, 2, 2])
    assert circuit.neighbour_purity(a, classes, 1).tolist() == [0, 0, 1, 1]


def test_purity_of_planted_classes_and_of_noise() -> None:
    classes = torch.arange(200) % 4
    centres = 20 * torch.nn.functional.one_hot(classes, 16).float()
    assert circuit.neighbour_purity(centres + gaussian(200, 16), classes, 10).mean() == 1
    noise = circuit.neighbour_purity(gaussian(200, 16), classes, 10)
    chance = circuit.purity_chance(classes)
    assert torch.allclose(chance, torch.tensor(49 / 199))
    assert abs(float(noise.mean() - chance.mean())) < 0.05


def test_centroids_leave_the_item_out() -> None:
    x = gaussian(40, 6) + 0.6 * (torch.arange(40) % 2)[:, None]
    classes = torch.arange(40) % 2
    wanted = []
    for n in range(40):
        rest = [m for m in range(40) if m != n]
        wanted.append(
            float(
                NearestCentroid().fit(x[rest].numpy(), classes[rest].numpy()).predict(x[n : n + 1].numpy())[0] == n % 2
            )
        )
    assert circuit.centroid_hits(x, classes).tolist() == wanted
    assert 0.5 < np.mean(wanted) < 1
    groups = torch.arange(40) // 20
    apart = circuit.centroid_hits(x, classes, groups)
    assert torch.equal(apart[:20], circuit.centroid_hits(x[:20], classes[:20]))


def test_centroids_without_a_second_item() -> None:
    hits = circuit.centroid_hits(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([0, 0, 1]))
    assert hits[:2].tolist() == [1, 1]
    assert hits[2].isnan()  # its class has no other item, and one class is left


def test_refusals() -> None:
    with pytest.raises(AnalysisError, match="the same items"):
        circuit.kernel_alignment(gaussian(4, 2), gaussian(5, 2))
    with pytest.raises(AnalysisError, match="expected 1 to 3"):
        circuit.kernel_alignment(gaussian(4, 2), gaussian(4, 2), 4)
    with pytest.raises(AnalysisError, match="classes for 4 items"):
        circuit.neighbour_purity(gaussian(4, 2), torch.zeros(3).long())
