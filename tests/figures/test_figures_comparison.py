"""Figures of a comparison: what is drawn, from which numbers, and what is said where there are none."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from figures import synthetic

from iclmech import figures
from iclmech._base import REGISTRIES, ICLMechError
from iclmech.experiments import Comparison


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=4)


@pytest.fixture(scope="module")
def grid() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=2, rates=(0.001, 0.01, 0.1))


def traces(figure: go.Figure, name: str) -> list:
    return [t for t in figure.data if t.name == name]


def numbers(values) -> np.ndarray:
    return np.array(values, dtype=float)


def test_similarity_draws_the_pooled_means_of_both_updates(result: Comparison):
    figure = figures.similarity_by_layer(result)
    for update, name in (("gd", "GD"), ("lcgd", "LCGD")):
        (line,) = traces(figure, name)
        expected = result.means["sim_aou_pooled"].sel(comparison=update, variant="trained", lr=0)
        np.testing.assert_allclose(numbers(line.y), expected.values)
        assert line.line.color == REGISTRIES["update"][update].colour
        bands = [t for t in figure.data if t.fill == "toself" and t.legendgroup == update]
        ci = result.means["sim_aou_pooled_ci"].sel(comparison=update, variant="trained", lr=0)
        np.testing.assert_allclose(
            numbers(bands[0].y), [*ci.sel(bound="high").values, *ci.sel(bound="low").values[::-1]]
        )


def test_similarity_shows_every_control_in_every_panel(result: Comparison):
    figure = figures.similarity_by_layer(result)
    for name in ("untrained model", "random weight change", "shuffled labels", "another task", "random direction",
                 "ICL, reordered (ceiling)", "null of isotropic noise"):  # fmt: skip
        assert {t.yaxis for t in traces(figure, name)} == {"y", "y2"}, name
    (_, lower) = traces(figure, "untrained model")
    expected = result.means["sim_aou_pooled"].sel(comparison="lcgd", variant="untrained", lr=0)
    np.testing.assert_allclose(numbers(lower.y), expected.values)


def test_similarity_without_or_with_chosen_controls(result: Comparison):
    bare = figures.similarity_by_layer(result, controls=False)
    assert {t.name for t in bare.data if t.name} == {"GD", "LCGD"}
    some = figures.similarity_by_layer(result, controls=["untrained"])
    assert {t.name for t in some.data if t.name} == {"GD", "LCGD", "untrained model"}


def test_a_masked_layer_is_a_gap_in_line_and_band(result: Comparison):
    means = result.means.copy(deep=True)
    for name in ("sim_aou_pooled", "sim_aou_pooled_ci"):
        means[name].loc[{"comparison": "gd", "variant": "trained", "layer": 1}] = np.nan
    figure = figures.similarity_by_layer(means)
    (line,) = traces(figure, "GD")
    assert np.isnan(numbers(line.y)[1])
    assert line.connectgaps is False
    bands = [t for t in figure.data if t.fill == "toself" and t.legendgroup == "gd"]
    assert [set(b.x) for b in bands] == [{0}, {2}]


def test_published_curves_lie_at_relative_depth(result: Comparison):
    figure = figures.similarity_by_layer(result, published={"gd": [0.1, 0.2, 0.3, 0.4, 0.5]})
    (line,) = [t for t in figure.data if str(t.name).startswith("published")]
    np.testing.assert_allclose(numbers(line.x), [0, 0.5, 1, 1.5, 2])


def test_similarity_of_heads_averages_them_and_leaves_masked_out(result: Comparison):
    figure = figures.similarity_by_layer(result, "sim_am")
    (line,) = traces(figure, "GD")
    pooled = result.means["sim_am_pooled"].sel(comparison="gd", variant="trained", lr=0)
    np.testing.assert_allclose(numbers(line.y), pooled.mean("head").values, rtol=1e-6)
    assert np.isnan(numbers(line.y)[0])


def test_an_empty_result_says_so_and_draws_nothing():
    for draw in (figures.similarity_by_layer, figures.accuracy_by_setting):
        figure = draw(synthetic.empty())
        assert any("no " in (a.text or "") for a in figure.layout.annotations)


def test_accuracy_names_every_setting_with_its_mean(result: Comparison):
    figure = figures.accuracy_by_setting(result)
    (filled,) = traces(figure, "trained model")
    place = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert {"zero-shot", "in context (ICL)", "after GD", "after LCGD"} <= set(place)
    x = dict(zip(filled.y, filled.x, strict=True))
    assert x[place["after LCGD"]] == pytest.approx(
        float(result.means["accuracy_overall"].sel(setting="ft:lcgd", variant="trained", lr=0))
    )
    assert figure.layout.shapes[0].x0 == pytest.approx(0.5)  # chance


def test_head_map_has_the_numbers_and_marks_what_is_masked(result: Comparison):
    figure = figures.head_map(result, mark=[(1, 2)])
    maps = [t for t in figure.data if t.type == "heatmap" and t.name != "masked"]
    pooled = result.means["sim_am_pooled"].sel(comparison="lcgd", variant="trained", lr=0).values
    np.testing.assert_allclose(numbers(maps[1].z), pooled, rtol=1e-6)
    masked = [t for t in figure.data if t.type == "heatmap" and t.name == "masked"]
    assert np.isfinite(numbers(masked[0].z)).sum() == 4  # layer 0
    assert "8 of 24 cells masked" in figure.layout.title.subtitle.text.replace("<br>", " ")


def test_head_map_of_arrays_and_tables():
    array = xr.DataArray([[0.1, 0.2], [0.3, -0.4]], dims=("layer", "head"), coords={"layer": [0, 1], "head": [0, 1]})
    figure = figures.head_map(array, "induction")
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-0.4, 0.4)
    table = array.to_dataframe("prefix_matching").reset_index().assign(low=0.0, high=1.0).sample(frac=1, random_state=0)
    figure = figures.head_map(table, "prefix_matching")
    np.testing.assert_allclose(numbers(figure.data[0].z), array.values, rtol=1e-6)
    assert numbers(figure.data[0].customdata).shape == (2, 2, 2)


def test_rates_tried_ring_the_chosen_one(result: Comparison):
    figure = figures.learning_rate_curve(result)
    line = traces(figure, "GD")[2]
    chosen = [x for x, s in zip(line.x, line.marker.symbol, strict=True) if s == "circle-open-dot"]
    assert chosen == [float(result.means["lr_value"].sel(update="gd", lr=0))]
    assert chosen[0] == numbers(line.x)[np.nanargmin(numbers(line.y))]


@pytest.mark.parametrize("x", ["lr", "norm"])
def test_a_grid_of_rates_is_drawn_with_intervals_for_both_models(grid: Comparison, x: str):
    figure = figures.learning_rate_curve(grid, x=x)
    line = traces(figure, "LCGD")[0]
    np.testing.assert_allclose(numbers(line.x), (0.001, 0.01, 0.1) if x == "lr" else (0.01, 0.02, 0.03))
    mean = grid.means["sim_aou_overall"].sel(comparison="lcgd", variant="trained")
    np.testing.assert_allclose(numbers(line.y), mean.values)
    high = grid.means["sim_aou_overall_ci"].sel(comparison="lcgd", variant="trained", bound="high")
    np.testing.assert_allclose(numbers(line.error_y.array), (high - mean).values)
    assert len(traces(figure, "LCGD, untrained model")) == 2


def test_a_position_on_the_grid_chooses_the_numbers(grid: Comparison):
    (line,) = traces(figures.similarity_by_layer(grid, lr=2), "GD")
    np.testing.assert_allclose(
        numbers(line.y), grid.means["sim_aou_pooled"].sel(comparison="gd", variant="trained", lr=2).values
    )
    with pytest.raises(ICLMechError, match="0 to 2"):
        figures.similarity_by_layer(grid, lr=3)


def test_errors_say_what_is_there(result: Comparison):
    with pytest.raises(ICLMechError, match="sim_aou"):
        figures.similarity_by_layer(result, "no_such")
    with pytest.raises(ICLMechError, match="lcgd"):
        figures.head_map(result, comparisons=["no_such"])
    with pytest.raises(ICLMechError, match="layer and head"):
        figures.head_map(result, "sim_aou")
    with pytest.raises(ICLMechError, match=r"xarray\.Dataset"):
        figures.similarity_by_layer(3)
    with pytest.raises(ICLMechError, match="'norm'"):
        figures.learning_rate_curve(result, x="k")


def test_figures_leave_the_result_alone(result: Comparison):
    before = result.means.copy(deep=True)
    for draw in (
        figures.similarity_by_layer,
        figures.accuracy_by_setting,
        figures.head_map,
        figures.learning_rate_curve,
    ):
        draw(result)
    xr.testing.assert_identical(before, result.means)
