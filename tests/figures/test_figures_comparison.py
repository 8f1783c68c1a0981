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
    for name in ("untrained model", "random weights", "random, as far", "shuffled labels", "another task", "random direction",
                 "ICL, another order", "null of isotropic noise"):  # fmt: skip
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
    assert "8 of 24 cells are masked" in figure.layout.title.subtitle.text.replace("<br>", " ")


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


def displaced(result: Comparison) -> Comparison:
    """The same result with displacements: random changes move less, untrained models further; the null is √d times .3."""
    means = result.means
    size = {"gd": 0.1, "lcgd": 0.2, "gd:random_update": 0.01}
    moved = xr.zeros_like(means["sim_aou_overall"]) * np.nan
    for name, d in size.items():
        for i in range(means.sizes["lr"]):
            moved.loc[{"comparison": name, "lr": i}] = d * (i + 1)
    moved.loc[{"variant": "untrained"}] = 2 * moved.sel(variant="trained")
    bounds = xr.concat([moved, moved], "bound").transpose(*moved.dims, "bound")
    return Comparison(
        means.assign(
            displacement_overall=moved, displacement_overall_ci=bounds, null_closed_form_overall=0.3 * np.sqrt(moved)
        )
    )


def test_similarity_stands_over_displacement_beside_the_null(grid: Comparison):
    result = displaced(grid)
    figure = figures.similarity_by_displacement(result)
    assert "displacement" in figures.comparison_figures(result)
    plain = Comparison(grid.means.drop_vars([n for n in grid.means.data_vars if str(n).startswith("displacement")]))
    assert "displacement" not in figures.comparison_figures(grid)  # nothing was measured
    assert "displacement" not in figures.comparison_figures(plain)
    (line,) = traces(figure, "GD")
    np.testing.assert_allclose(numbers(line.x), [0.1, 0.2, 0.3])
    expected = grid.means["sim_aou_overall"].sel(comparison="gd", variant="trained").values
    np.testing.assert_allclose(numbers(line.y), expected)
    ci = grid.means["sim_aou_overall_ci"].sel(comparison="gd", variant="trained", bound="high").values
    np.testing.assert_allclose(numbers(line.error_y.array), ci - expected)
    untrained = traces(figure, "untrained model")[0]
    np.testing.assert_allclose(numbers(untrained.x), [0.2, 0.4, 0.6])
    (null, _) = traces(figure, "null of isotropic noise")
    np.testing.assert_allclose(numbers(null.y), 0.3 * np.sqrt(numbers(null.x)), rtol=1e-6)
    assert numbers(null.x).max() == pytest.approx(0.6)
    with pytest.raises(ICLMechError, match="displacement_overall"):
        figures.similarity_by_displacement(plain)


def test_every_figure_with_intervals_names_them(result: Comparison, grid: Comparison):
    named = "two-way interval over seeds and queries, uncorrected"
    drawn = [figures.similarity_by_layer(result), figures.accuracy_by_setting(result), figures.learning_rate_curve(grid),
             figures.similarity_by_displacement(displaced(grid))]  # fmt: skip
    for figure in drawn:
        assert named in figure.layout.title.subtitle.text.replace("<br>", " ")
    old = figures.similarity_by_layer(result.means.drop_vars("interval"))
    assert "bootstrap interval over seeds, then queries" in old.layout.title.subtitle.text.replace("<br>", " ")


def test_every_control_has_a_band(result: Comparison):
    figure = figures.similarity_by_layer(result)
    bands = {t.legendgroup for t in figure.data if t.fill == "toself"}
    assert {"gd", "lcgd", "untrained", "random_update", "shuffled_labels", "wrong_task", "icl:reordered"} <= bands


def test_accuracy_has_lines_at_what_takes_no_learning(result: Comparison):
    means = result.means.assign(chance=("seed", [0.5, 0.6, 0.7]))
    figure = figures.accuracy_by_setting(means)
    at = {str(round(float(s.x0), 6)) for s in figure.layout.shapes}
    overall = means["accuracy_overall"].sel(variant="trained", lr=0)
    assert at == {str(round(float(v), 6)) for v in (0.6, overall.sel(setting="zs"), overall.sel(setting="icl"))}
    assert any(a.text == "best constant answer" for a in figure.layout.annotations)
    low, high = figure.layout.xaxis.range
    assert -0.03 <= low < float(means["accuracy_overall_ci"].min())
    assert high < 1.05
    assert any(a.text == "guessing" for a in figures.accuracy_by_setting(result).layout.annotations)
