"""Shifts on a plane: exact where they lie in one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iclmech.analysis import AnalysisError, shift_plane


def test_a_planar_course_is_kept_with_its_distances():
    generator = torch.Generator().manual_seed(0)
    zs = torch.randn(5, 3, 8, generator=generator, dtype=torch.float64)
    size = zs.square().sum(-1).mean(0).sqrt()[:, None]
    basis = torch.linalg.qr(torch.randn(8, 2, generator=generator, dtype=torch.float64))[0].T
    a, b = (torch.randn(3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    data = shift_plane(zs, {"icl": zs + (a @ basis) * size, "ft:gd": zs + (b @ basis) * size})
    points = data["trajectory"].values.reshape(-1, 2)
    true = torch.cat([a, b]).numpy()
    np.testing.assert_allclose(points @ points.T, true @ true.T, atol=1e-10)
    assert data["explained"].values.sum() == pytest.approx(1)
    assert list(data["setting"].values) == ["icl", "ft:gd"]


def test_no_shift_is_the_origin():
    zs = torch.ones(2, 3, 4)
    data = shift_plane(zs, {"icl": zs})
    assert (data["trajectory"].values == 0).all()


def test_errors():
    with pytest.raises(AnalysisError, match="at least one"):
        shift_plane(torch.ones(2, 3, 4), {})
    with pytest.raises(AnalysisError, match="one shape"):
        shift_plane(torch.ones(2, 3, 4), {"icl": torch.ones(2, 3, 5)})
