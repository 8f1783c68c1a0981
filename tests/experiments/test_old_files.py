"""Files that version 0.1.0 wrote still open, with their numbers, claims, figures and pages."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import iclmech as icl
from iclmech.experiments import Circuit, Comparison, OrderSensitivity, command_of
from iclmech.report import report_html

SAVED = Path(__file__).parent / "saved"


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> icl.Result:
    path = tmp_path / f"{request.param}.nc"
    path.write_bytes(gzip.decompress((SAVED / f"{request.param}.nc.gz").read_bytes()))
    return icl.load(path)


@pytest.mark.parametrize(
    ("opened", "kind", "name"),
    [("comparison", Comparison, "compare"), ("circuit", Circuit, "circuit"), ("order", OrderSensitivity, "order")],
    indirect=["opened"],
)
def test_each_kind_opens_as_what_it_is(opened: icl.Result, kind: type, name: str, tmp_path: Path) -> None:
    assert type(opened) is kind
    assert opened.kind == name
    assert opened.claims()["verdict"].isin(["holds", "does not hold", "not shown", "not applicable"]).all()
    assert len(opened.summary()) > 10
    assert "not given" not in " ".join(opened.answer())
    assert report_html(opened)
    again = icl.load(opened.save(tmp_path / "again.nc"))
    assert again.data.drop_attrs().identical(opened.data.drop_attrs())


@pytest.mark.parametrize("opened", ["comparison"], indirect=True)
def test_the_numbers_of_a_comparison_are_those_that_were_saved(opened: Comparison) -> None:
    value = opened.means["sim_aou_overall"].sel(comparison="gd", variant="trained", lr=0)
    assert float(value) == pytest.approx(SIM_AOU)
    assert "learns in context" in opened.claims()["claim"].tolist()
    assert (command_of(opened) or "").startswith("iclmech compare --model icl-mini --task mini/sentiment --k 4")


@pytest.mark.parametrize("opened", ["circuit"], indirect=True)
def test_the_numbers_of_a_circuit_are_those_that_were_saved(opened: Circuit) -> None:
    assert float(opened.data["accuracy"].sel(setting="icl")) == 1.0
    assert opened.heads().iloc[0][["layer", "head"]].tolist() == [1, 2]


SIM_AOU = 0.570285
