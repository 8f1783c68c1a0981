"""The result object on synthetic numbers: files, schema versions, summary, display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from iclmech import ICLMechError
from iclmech._base import FileError, to_ascii_json
from iclmech.experiments import Comparison
from iclmech.experiments.comparison._dataset import Extent, gather, gather_queries
from iclmech.experiments.comparison._plan import Plan, controls_of
from iclmech.experiments.comparison._records import Records
from iclmech.experiments.comparison._request import CompareRequest

WEIRD = 'tab\tNUL\x00 lone \ud800 snowman ☃ emoji 🧊 quote " </script> \r\n'
SEEDS, QUERIES, LAYERS, HEADS = (3, 7), 20, 3, 2


def plan(**changes: object) -> Plan:
    request = CompareRequest(k=4, n_queries=QUERIES, seeds=SEEDS, keep_queries=True, n_boot=200, n_examples=0)
    values: dict[str, object] = {
        "request": request, "seeds": SEEDS, "updates": {"gd": print, "lcgd": print}, "rates": None, "demanded": (), "metrics": {},
        "controls": controls_of(("essential",))[0], "loss": "label", "parameters": "attn_kv", "position": "prediction",
        "separator": None, "selection": "random", "wrong_task": None, "sites": (), "direction": "gaussian",
    }  # fmt: skip
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


def synthetic(n_rates: int = 1, **changes: object) -> tuple[Comparison, Records]:
    """A comparison of random numbers, in which GD's SimAOU is .5 above LCGD's, query by query."""
    made, records = plan(**changes), Records()
    generator = np.random.default_rng(0)
    for variant in made.variants:
        for seed in SEEDS:
            for position in range(n_rates):
                base = generator.normal(size=(QUERIES, LAYERS))
                for name in made.roster.comparisons:
                    free = name in ("random_direction", "icl:reordered")
                    cell = (name, variant, seed, None if free else position)
                    value = (
                        base + (0.5 if name == "gd" else 0.0)
                        if name in ("gd", "lcgd")
                        else generator.normal(size=base.shape)
                    )
                    records.compared.setdefault("sim_aou", {})[cell] = value
                    records.compared.setdefault("null_closed_form", {})[cell] = 0.25 + 0 * value
                    heads = generator.normal(size=(QUERIES, LAYERS, HEADS))
                    heads[:5, 0] = np.nan
                    heads[:, 1, 1] = np.nan
                    records.compared.setdefault("sim_am", {})[cell] = heads
                    records.compared.setdefault("rec2ftp", {})[cell] = generator.integers(2, size=QUERIES).astype(float)
                for name in made.roster.settings:
                    value = generator.integers(2, size=QUERIES).astype(float)
                    cell = (name, variant, seed, position if name.startswith("ft:") else None)
                    records.single.setdefault("accuracy", {})[cell] = value
                    records.single.setdefault("label_nll", {})[cell] = value + 1
    extent = Extent(made, n_rates, LAYERS, HEADS)
    rates = {"gd": tuple(0.1 * (i + 1) for i in range(n_rates)), "lcgd": tuple(0.2 * (i + 1) for i in range(n_rates))}
    means = gather(records, extent, None, rates)
    origin = {"model": {"name": WEIRD}, "task": {"name": None}, "k": 4, "n_queries": QUERIES, "notes": [WEIRD, "plain"]}
    means.attrs = {"n_queries": QUERIES, "provenance": to_ascii_json(origin)}
    prompts = type(
        "P",
        (),
        {"queries": [type("Q", (), {"label": None if i == 0 else i % 2, "index": i})() for i in range(QUERIES)]},
    )
    examples = xr.Dataset(
        {
            "meta": (
                "example",
                np.array([to_ascii_json({"tokens": [WEIRD, "b"], "roles": ["bos", "text"]})], dtype=object),
            )
        }
    )
    return Comparison(means, gather_queries(records, extent, prompts), examples), records


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic()[0]


def test_axes(result: Comparison) -> None:
    means = result.means
    assert means.sim_aou.dims == ("comparison", "variant", "seed", "lr", "layer")
    assert means.sim_am.dims == ("comparison", "variant", "seed", "lr", "layer", "head")
    assert means.accuracy.dims == ("setting", "variant", "seed", "lr")
    assert means.sim_am_ci.dims == (*means.sim_am.dims, "bound")
    assert means.sim_am_n_masked.dims == means.sim_am.dims
    assert means.null_closed_form.dims == means.sim_aou.dims
    assert list(means.comparison.values) == [
        "gd",
        "lcgd",
        "random_direction",
        "gd:matched_update",
        "lcgd:matched_update",
        "gd:random_update",
        "lcgd:random_update",
        "icl:reordered",
    ]
    assert list(means.setting.values)[:3] == ["zs", "icl", "icl:reordered"]
    assert means.lr_value.dims == ("update", "lr")
    assert float(means.lr_value.sel(update="lcgd")[0]) == 0.2
    assert result.measures[:3] == ["sim_aou", "null_closed_form", "sim_am"]


def test_means_counts_and_intervals_are_those_of_the_queries(result: Comparison) -> None:
    _, records = synthetic()
    values = records.compared["sim_am"]["gd", "trained", 7, 0]
    at = {"comparison": "gd", "variant": "trained", "seed": 7, "lr": 0}
    found = result.means.sim_am.sel(at)
    np.testing.assert_allclose(found.values[[0, 2]], np.nanmean(values[:, [0, 2]], axis=0), rtol=1e-6)
    assert np.isnan(found.values[1, 1])
    assert result.means.sim_am_n_masked.sel(at).values.tolist() == [[5, 5], [0, QUERIES], [0, 0]]
    low, high = result.means.sim_am_ci.sel(at).values[0, 0]
    assert low < found.values[0, 0] < high
    standard = np.nanstd(values[:, 0, 0]) / np.sqrt(15)
    assert 2 * standard < high - low < 6 * standard


def test_pooled_and_overall_means_are_over_seeds_and_layers(result: Comparison) -> None:
    at = {"comparison": "lcgd", "variant": "untrained", "lr": 0}
    per_seed = result.means.sim_aou.sel(at)
    np.testing.assert_allclose(result.means.sim_aou_pooled.sel(at), per_seed.mean("seed"))
    assert float(result.means.sim_aou_overall.sel(at)) == pytest.approx(float(per_seed.mean()))
    np.testing.assert_allclose(result.means.sim_aou_overall_by_seed.sel(at), per_seed.mean("layer"))


def test_contrasts_are_paired(result: Comparison) -> None:
    contrast = result.means.sim_aou_contrast.sel(contrast="lcgd - gd", lr=0)
    assert float(contrast) == pytest.approx(-0.5)
    bounds = result.means.sim_aou_contrast_ci.sel(contrast="lcgd - gd", lr=0).values
    assert np.isnan(bounds).all()  # the queries' own spread cancels, and no spread is no interval
    null = result.means.sim_aou_contrast.sel(contrast="gd - closed-form null", lr=0)
    gd = result.means.sim_aou_overall.sel(comparison="gd", variant="trained", lr=0)
    assert float(null) == pytest.approx(float(gd) - 0.25)
    assert "gd: trained - untrained" in result.means.contrast.values


def two_way(table: np.ndarray, null: float = 0.0) -> tuple[float, float, float]:
    """(low, high, p) of a full table by the textbook's mean squares."""
    n_seeds, n_queries = table.shape
    rows, columns, mean = table.mean(1), table.mean(0), table.mean()
    ms_s = n_queries * ((rows - mean) ** 2).sum() / (n_seeds - 1)
    ms_q = n_seeds * ((columns - mean) ** 2).sum() / (n_queries - 1)
    free = (n_seeds - 1) * (n_queries - 1)
    ms_e = ((table - rows[:, None] - columns[None] + mean) ** 2).sum() / free
    total = ms_s + ms_q - ms_e
    df = total**2 / (ms_s**2 / (n_seeds - 1) + ms_q**2 / (n_queries - 1) + ms_e**2 / free)
    if total < max(ms_s, ms_q):
        total, df = max((ms_s, n_seeds - 1), (ms_q, n_queries - 1))
    se = np.sqrt(total / table.size)
    half = stats.t.ppf(0.975, max(df, 1)) * se
    return mean - half, mean + half, 2 * stats.t.sf(abs(mean - null) / se, max(df, 1))


def test_intervals_are_the_two_way_ones_of_layer_means(result: Comparison) -> None:
    _, records = synthetic()
    cells = records.compared["sim_aou"]
    left, right = (
        np.stack([cells[name, "trained", s, lr] for s in SEEDS]).mean(-1)
        for name, lr in (("gd", 0), ("icl:reordered", None))
    )
    low, high, _ = two_way(left)
    at = {"comparison": "gd", "variant": "trained", "lr": 0}
    np.testing.assert_allclose(result.means.sim_aou_overall_ci.sel(at), [low, high])
    low, high, p = two_way(left - right)
    at = {"contrast": "gd - icl:reordered", "lr": 0}
    np.testing.assert_allclose(result.means.sim_aou_contrast_ci.sel(at), np.clip([low, high], -2, 2))
    assert float(result.means.sim_aou_contrast_p.sel(at)) == pytest.approx(p)
    layer = np.stack([cells["gd", "trained", s, 0] for s in SEEDS])[..., 1]
    at = {"comparison": "gd", "variant": "trained", "lr": 0, "layer": 1}
    np.testing.assert_allclose(result.means.sim_aou_pooled_ci.sel(at), two_way(layer)[:2])


def test_layers_with_few_values_are_left_out_of_the_interval_and_named(result: Comparison) -> None:
    """Of SimAM, layer 0 lacks a quarter of its queries and head 1 of layer 1 all."""
    at = {"comparison": "gd", "variant": "trained", "lr": 0}
    assert result.means.sim_am_overall_kept.sel(at).values.tolist() == [[0, 0], [1, 0], [1, 1]]
    row = result.summary(["sim_am"]).query("name == 'gd' and variant == 'trained'").iloc[0]
    assert row.note == "fewer than 3 seeds carry no claim; left out: layer 0, layer 1 head 1"
    assert not row.claims


def test_a_contrast_compares_what_is_valid_on_both_sides_only() -> None:
    """LCGD answers two queries that GD has no value for; the difference is over the others."""
    _, records = synthetic()
    for seed in SEEDS:
        for name in ("gd", "lcgd"):
            values = np.where(np.arange(QUERIES) < (10 if name == "gd" else 18), 1.0, 0.0)
            values[18 if name == "gd" else 20 :] = np.nan
            records.compared["rec2ftp"][name, "trained", seed, 0] = values
    means = gather(records, Extent(plan(), 1, LAYERS, HEADS), None, {"gd": (0.1,), "lcgd": (0.2,)})
    assert float(means.rec2ftp_contrast.sel(contrast="lcgd - gd", lr=0)) == pytest.approx(8 / 18)
    assert float(means.rec2ftp_overall.sel(comparison="gd", variant="trained", lr=0)) == pytest.approx(10 / 18)


def test_answers_that_are_all_right_are_no_certainty() -> None:
    _, records = synthetic()
    for seed in SEEDS:
        records.single["accuracy"]["icl", "trained", seed, None] = np.ones(QUERIES)
    means = gather(records, Extent(plan(), 1, LAYERS, HEADS), None, {"gd": (0.1,), "lcgd": (0.2,)})
    low, high = means.accuracy_overall_ci.sel(setting="icl", variant="trained", lr=0).values
    assert 0.7 < low < 0.95
    assert high == 1


class Asked:
    """Prompts as far as `gather` looks at them."""

    def __init__(self, labels: list[int | None], text: int = 0) -> None:
        context = type("C", (), {"label_tokens": [[1], [2], [3]]})()
        self.contexts = [context]
        self.queries = [
            type("Q", (), {"tokens": [text, i], "label": y, "target_tokens": None, "context": 0, "index": i})()
            for i, y in enumerate(labels)
        ]


def test_gains_are_beyond_zero_shot_and_beyond_the_best_constant_answer() -> None:
    _, records = synthetic()
    gold = [0] * 9 + [1] * 6 + [2] * 4 + [None]
    rates = {"gd": (0.1,), "lcgd": (0.2,)}
    for cell, values in records.single["accuracy"].items():
        records.single["accuracy"][cell] = np.where(np.arange(QUERIES) == 19, np.nan, values)
    same = {seed: Asked(gold) for seed in SEEDS}
    means = gather(records, Extent(plan(), 1, LAYERS, HEADS), None, rates, same)
    np.testing.assert_allclose(means.chance, 9 / 19)
    icl, zs = (
        np.stack([records.single["accuracy"][s, "trained", seed, None] for seed in SEEDS])[:, :19]
        for s in ("icl", "zs")
    )
    right = np.array([float(y == 0) for y in gold[:19]])
    for baseline, beside in (("zs", zs), ("constant", right)):
        at = {"setting": "icl", "baseline": baseline, "lr": 0}
        assert float(means.gain.sel(at)) == pytest.approx((icl - beside).mean())
        padded = np.concatenate([icl - beside, np.tile([1.0, -1.0], (2, 1))], axis=1)
        low, high, p = two_way(padded)
        np.testing.assert_allclose(means.gain_ci.sel(at), [max(low, -1), min(high, 1)])
        assert float(means.gain_p.sel(at)) == pytest.approx(p)
    assert str(means.interval.values) == "crossed"
    rows = Comparison(means.assign_attrs(n_queries=QUERIES)).summary(["accuracy"])
    assert {"icl - zs", "icl - best constant answer", "ft:gd - zs"} <= set(rows[rows.kind == "contrast"].name)


def test_queries_drawn_anew_are_nested_and_leave_students_interval_over_seeds() -> None:
    _, records = synthetic()
    other = {seed: Asked([0, 1] * 10, text=seed) for seed in SEEDS}
    means = gather(records, Extent(plan(), 1, LAYERS, HEADS), None, {"gd": (0.1,), "lcgd": (0.2,)}, other)
    assert str(means.interval.values) == "nested"
    seeds = means.sim_aou_overall_by_seed.sel(comparison="gd", variant="trained", lr=0).values
    half = stats.t.ppf(0.975, 1) * seeds.std(ddof=1) / np.sqrt(2)
    low, high = means.sim_aou_overall_ci.sel(comparison="gd", variant="trained", lr=0).values
    expected = np.clip([seeds.mean() - half, seeds.mean() + half], -1, 1)
    np.testing.assert_allclose([low, high], expected)


def test_every_row_says_which_interval_it_has(result: Comparison) -> None:
    assert set(result.summary().interval) == {"95\u00a0% two-way interval over seeds and queries, uncorrected"}
    older = Comparison(result.means.drop_vars("interval"))
    assert set(older.summary().interval) == {"95\u00a0% bootstrap interval over seeds, then queries, uncorrected"}


def test_summary(result: Comparison) -> None:
    table = result.summary()
    gd = table.query("measure == 'sim_aou' and name == 'gd' and variant == 'trained'").iloc[0]
    assert gd.lr_value == 0.1
    assert gd.low < gd["mean"] < gd.high
    assert gd.seed_low < gd["mean"] < gd.seed_high
    assert gd.n_seeds == 2
    masked = table.query("measure == 'sim_am' and name == 'gd' and variant == 'trained'").iloc[0].masked
    assert masked == pytest.approx((2 * 5 + QUERIES) / (QUERIES * LAYERS * HEADS))
    assert set(table.kind) == {"setting", "comparison", "contrast"}
    assert {"zs", "icl", "ft:gd"} <= set(table[table.measure == "accuracy"].name)
    only = result.summary(["accuracy"])
    assert set(only.measure) == {"accuracy"}
    assert np.isnan(only[only.name == "icl"].lr_value).all()
    with pytest.raises(ICLMechError, match=r"'nothing'.*sim_aou"):
        result.summary(["nothing"])


def test_a_grid_keeps_all_rates_and_repeats_what_has_none() -> None:
    result, _ = synthetic(n_rates=3)
    means = result.means
    assert means.sizes["lr"] == 3
    free = means.sim_aou.sel(comparison="icl:reordered")
    assert (free == free.isel(lr=0)).all()
    assert not (means.sim_aou.sel(comparison="gd") == means.sim_aou.sel(comparison="gd").isel(lr=0)).all()
    table = result.summary(["sim_aou"])
    assert len(table.query("name == 'gd' and variant == 'trained'")) == 3
    assert len(table.query("name == 'icl:reordered' and variant == 'trained'")) == 1
    contrast = means.sim_aou_contrast_ci.sel(contrast="gd - icl:reordered")
    assert not np.isnan(contrast).any()


def test_queries_stand_in_the_place_of_means_where_they_were_kept(result: Comparison) -> None:
    assert result.data.sim_aou.dims == ("comparison", "variant", "seed", "lr", "query", "layer")
    assert result.data.accuracy.dims == ("setting", "variant", "seed", "lr", "query")
    np.testing.assert_allclose(result.data.sim_aou.mean("query"), result.means.sim_aou, atol=1e-6)
    assert result.data.query_label.values[:3].tolist() == [-1, 1, 0]
    assert "query" not in Comparison(result.means).data.dims


def test_files_give_everything_back(result: Comparison, tmp_path: Path) -> None:
    path = result.save(tmp_path / "run.nc")
    loaded = Comparison.load(path)
    for mine, theirs in (
        (result.means, loaded.means),
        (result.queries, loaded.queries),
        (result.examples, loaded.examples),
    ):
        xr.testing.assert_identical(mine, theirs)
    assert loaded.provenance["model"]["name"] == WEIRD
    assert loaded.provenance["task"]["name"] is None
    assert loaded.notes == [WEIRD, "plain"]
    assert loaded.example_tokens(0) == ([WEIRD, "b"], ["bos", "text"])
    xr.testing.assert_identical(loaded.data, result.data)
    again = loaded.save(path)  # an existing file is replaced whole
    xr.testing.assert_identical(Comparison.load(again).means, result.means)
    assert [p.name for p in tmp_path.iterdir()] == ["run.nc"]
    assert all(value.isascii() for value in loaded.means.attrs.values() if isinstance(value, str))


def test_without_queries_and_examples(result: Comparison, tmp_path: Path) -> None:
    loaded = Comparison.load(Comparison(result.means).save(tmp_path / "run.nc"))
    assert not loaded.queries
    assert not loaded.examples
    xr.testing.assert_identical(loaded.data, result.means)


def test_a_newer_schema_is_refused(result: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = Comparison.schema
    monkeypatch.setattr(Comparison, "schema", schema + 1)
    path = result.save(tmp_path / "run.nc")
    monkeypatch.undo()
    with pytest.raises(FileError, match=rf"schema {schema + 1}.*up to {schema}.*Update"):
        Comparison.load(path)


def test_an_older_schema_is_migrated(result: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result.save(tmp_path / "run.nc")

    def rename(groups: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
        return {**groups, "summary": groups["summary"].rename(sim_aou="similarity")}

    monkeypatch.setattr(Comparison, "schema", Comparison.schema + 1)
    monkeypatch.setattr(Comparison, "migrations", {Comparison.schema - 1: rename})
    assert "similarity" in Comparison.load(path).means


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not a file"):
        Comparison.load(tmp_path / "nowhere.nc")
    text = tmp_path / "text.nc"
    text.write_text("not netCDF")
    with pytest.raises(FileError, match="cannot be read as a saved Comparison"):
        Comparison.load(text)
    for name, groups in {"plain": [None], "grouped": Comparison.group_names}.items():
        other = tmp_path / f"{name}.nc"
        for number, group in enumerate(groups):
            xr.Dataset({"x": ("a", [1.0])}).to_netcdf(
                other, mode="a" if number else "w", group=group, engine="h5netcdf"
            )
        with pytest.raises(FileError, match="not a saved Comparison"):
            Comparison.load(other)


def test_display(result: Comparison) -> None:
    assert "8 comparisons × 2 variants × 1 rates" in repr(result)
    page = result._repr_html_()
    page.encode("utf-8")
    assert "</script>" not in page
    assert "SimAOU" in page
    assert "plain" in page
