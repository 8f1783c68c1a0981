"""The result object on synthetic numbers: files, schema versions, summary, display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from iclmech import ICLMechError
from iclmech._base import FileError, to_ascii_json
from iclmech.experiments import Comparison
from iclmech.experiments.comparison._dataset import Extent, gather, gather_queries
from iclmech.experiments.comparison._measure import Records
from iclmech.experiments.comparison._plan import Plan, controls_of
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
    low, high = result.means.sim_aou_contrast_ci.sel(contrast="lcgd - gd", lr=0).values
    assert high - low < 1e-9  # the queries' own spread cancels
    null = result.means.sim_aou_contrast.sel(contrast="gd - closed-form null", lr=0)
    gd = result.means.sim_aou_overall.sel(comparison="gd", variant="trained", lr=0)
    assert float(null) == pytest.approx(float(gd) - 0.25)
    assert "gd: trained - untrained" in result.means.contrast.values


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
    assert "sim_aou" in page
    assert "plain" in page
