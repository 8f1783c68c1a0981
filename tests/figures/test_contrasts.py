"""The forest plot says no more than the claims, and names at line ends do not cover one another."""

from __future__ import annotations

import numpy as np
import pytest
from figures import synthetic

from iclmech import figures
from iclmech._base import ICLMechError
from iclmech.experiments import Comparison
from iclmech.figures._end_labels import spread


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=2, trained_effect=0.3, n_queries=48)


def points(figure):
    return [t for t in figure.data if t.mode == "markers" and t.customdata is not None]


def test_it_stands_first(result: Comparison):
    assert next(iter(result.figures())) == "contrasts"


def test_every_contrast_with_a_control_is_there_with_its_claims_number_and_verdict(result: Comparison):
    figure = figures.contrasts(result)
    _, gd, lcgd = points(figure)
    for update, trace in (("gd", gd), ("lcgd", lcgd)):
        wanted = [
            c
            for c in result.judged()
            if c.about.get("update") == update and (c.about.get("control") or c.about.get("other"))
        ]
        np.testing.assert_allclose(np.array(trace.x, float), [c.measured for c in wanted])
        filled = ["circle" if c.verdict == "holds" else "circle-open" for c in wanted if c.verdict != "does not hold"]
        assert [s for s in trace.marker.symbol if s != "x"] == filled


def test_a_claim_that_may_not_be_judged_is_open():
    few = synthetic.comparison(n_layers=2, n_heads=2, seeds=2)
    for trace in points(figures.contrasts(few)):
        assert set(trace.marker.symbol) == {"circle-open"}


def test_panels_of_updates_have_one_range_around_zero_and_every_end(result: Comparison):
    layout = figures.contrasts(result).layout
    assert layout.xaxis2.range == layout.xaxis3.range
    low, high = layout.xaxis2.range
    ends = [c for c in result.judged() if c.about.get("control")]
    assert low < min(0, *(c.low for c in ends if np.isfinite(c.low)))
    assert high > max(c.high for c in ends if np.isfinite(c.high))


def test_of_several_rates_one_is_drawn():
    grid = synthetic.comparison(n_layers=2, n_heads=2, rates=(0.01, 0.1))
    one, other = (points(figures.contrasts(grid, lr=lr))[1] for lr in (0, 1))
    assert len(one.x) == len(other.x)
    assert list(one.x) != list(other.x)


def test_other_things_are_refused():
    with pytest.raises(ICLMechError, match="expected a Comparison"):
        figures.contrasts(synthetic.comparison(n_layers=2, n_heads=2).means)  # type: ignore[arg-type]


def test_the_control_with_the_smallest_difference_is_purple(result: Comparison):
    means = result.means.copy(deep=True)
    means["sim_aou_contrast"].loc[{"contrast": "gd - gd:wrong_task"}] = -0.5
    figure = figures.similarity_by_layer(Comparison(means, None, result.examples))
    purple = {t.name for t in figure.data if t.yaxis == "y" and t.mode == "lines+markers" and t.line.color == "#B8608F"}
    assert purple == {"another task"}


@pytest.mark.parametrize("wanted", [[0.0] * 5, [0.0, 0.05, 3.0, 3.0, 9.9], list(np.linspace(9, 10, 6)), [5.0]])
def test_names_keep_their_distance_their_order_and_the_panel(wanted: list[float]):
    placed = spread(wanted, 1.0, 0.0, 10.0)
    assert sorted(placed) == [placed[i] for i in np.argsort(wanted, kind="stable")]
    assert min(placed) >= 0
    assert max(placed) <= 10
    assert all(b - a >= 1 - 1e-6 for a, b in zip(sorted(placed), sorted(placed)[1:], strict=False))


def test_an_array_keeps_its_name_on_the_head_map():
    import xarray as xr

    array = xr.DataArray(np.linspace(-1, 1, 6).reshape(2, 3), dims=("layer", "head"), coords={"layer": [0, 1], "head": [0, 1, 2]}, name="correct_induction")  # fmt: skip
    figure = figures.head_map(array)
    assert figure.layout.title.text == "Correct induction by head"
    assert figure.layout.coloraxis.colorbar.title.text == "correct induction"
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax


def test_names_that_push_one_another_stay_around_their_lines():
    assert spread([5.0, 5.0, 5.0], 1.0, 0.0, 10.0) == [4.0, 5.0, 6.0]
