"""Two updates at one displacement: the difference that is there, not the one that their rates make."""

from __future__ import annotations

import numpy as np
import pytest

import iclmech as icl
from iclmech.experiments.comparison._equal_displacement import RateCells, equal_displacement


def cells(moved: list[float], lead: float, chosen: int, layers: int = 2) -> RateCells:
    """Similarity is half the displacement, and `lead` more."""
    noise = 0.01 * np.random.default_rng(0).normal(size=(3, 8, 1, layers))
    displacement = np.broadcast_to(np.array(moved)[:, None], (3, 8, len(moved), layers)).copy()
    return RateCells(displacement, displacement / 2 + lead + noise, chosen)


def test_what_only_the_displacement_makes_is_no_difference() -> None:
    near, far = cells([0.1, 0.2], 0.0, 1), cells([0.1, 0.3, 0.8], 0.0, 2)
    found = equal_displacement({"gd": near, "lcgd": far})
    assert found["equal_displacement_difference"][1][1] == pytest.approx(0, abs=1e-9)
    assert far.sim_aou[:, :, 2].mean() - near.sim_aou[:, :, 1].mean() == pytest.approx(0.3)  # at their own rates
    np.testing.assert_allclose(found["equal_displacement_at"][1][1], 0.2)
    assert np.isnan(found["equal_displacement_difference"][1][0])


def test_a_lead_at_equal_displacement_is_found() -> None:
    found = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": cells([0.1, 0.3, 0.8], 0.07, 2)})
    assert found["equal_displacement_difference"][1][1] == pytest.approx(0.07)
    noisy = cells([0.1, 0.3, 0.8], 0.07, 2)
    noisy.sim_aou[...] += 0.02 * np.random.default_rng(1).normal(size=(3, 8, 1, 2))
    low, high = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": noisy})[
        "equal_displacement_difference_ci"
    ][1][1]
    assert 0.03 < low < 0.07 < high < 0.11


def test_a_layer_without_a_common_range_is_left_out() -> None:
    far = cells([0.3, 0.8], 0.07, 1)
    far.displacement[..., 1] -= 0.25  # this layer alone has been as near as the other update
    found = equal_displacement({"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": far})
    assert found["equal_displacement_layers"][1][1] == 1
    assert np.isnan(found["equal_displacement_at"][1][1]).tolist() == [True, False]


def test_it_stands_in_a_comparison_with_chosen_rates() -> None:
    options = {"k": 4, "n_queries": 8, "seeds": 1, "controls": "none", "n_boot": 20, "progress": False}
    data = icl.compare("icl-mini", "mini/sentiment", **options).data
    assert data.equal_displacement_difference.dims == ("update",)
    assert np.isfinite(data.equal_displacement_difference.sel(update="lcgd"))
    assert data.equal_displacement_layers.sel(update="lcgd") > 0


def test_an_update_without_a_curve_keeps_its_place_and_is_nan() -> None:
    curves = {"gd": cells([0.1, 0.2], 0.0, 1), "lcgd": cells([0.1, 0.3, 0.8], 0.07, 2)}
    found = equal_displacement(curves, ["task_vector", "gd", "lcgd"])
    assert np.isnan(found["equal_displacement_difference"][1]).tolist() == [True, True, False]
    assert found["equal_displacement_difference"][1][2] == pytest.approx(0.07)
