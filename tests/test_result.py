"""One class reads and writes every kind of result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import iclmech as icl
from iclmech._base import Claim, FileError, by_interval
from iclmech.experiments import Circuit, Comparison


def curve() -> icl.Result:
    data = xr.Dataset(
        {"accuracy": ("k", [0.5, 0.9]), "accuracy_ci": (("k", "bound"), [[0.4, 0.6], [0.8, 1.0]])},
        {"k": [1, 8], "bound": ["low", "high"]},
    )
    return icl.Result(data, kind="curve-of-nobody", provenance={"notes": ["a note"], "model": {"name": "m\x00\ud800"}})


def test_a_result_comes_back_from_its_file_or_directory(tmp_path: Path) -> None:
    path = curve().save(tmp_path / "result.nc")
    for where in (path, tmp_path):
        again = icl.load(where)
        assert type(again) is icl.Result
        assert again.kind == "curve-of-nobody"
        assert again.data.identical(curve().data)
        assert again.provenance["model"]["name"] == "m\x00\ud800"
        assert again.notes == ["a note"]


def test_the_summary_lists_what_has_an_interval() -> None:
    table = curve().summary()
    assert table.columns.tolist() == ["measure", "k", "mean", "low", "high"]
    assert table.iloc[1].tolist() == ["accuracy", 8, 0.9, 0.8, 1.0]


def test_what_is_not_known_here_says_so() -> None:
    result = curve()
    assert "No experiment called 'curve-of-nobody'" in result.answer()[0]
    assert result.figures() == {}
    assert result.claims().empty
    assert "accuracy" in result._repr_html_()


def test_another_kind_is_refused_by_the_class_that_was_asked(tmp_path: Path) -> None:
    path = icl.published().save(tmp_path / "published.nc")
    assert type(icl.load(path)).__name__ == "Published"
    for kind in (Comparison, Circuit):
        with pytest.raises(FileError, match=rf"holds 'iclmech published'; expected a saved {kind.__name__}"):
            kind.load(path)


def test_directories_without_one_result_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"holds 0 \.nc files"):
        icl.load(tmp_path)
    with pytest.raises(FileError, match="is not a file"):
        icl.load(tmp_path / "nowhere.nc")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "holds"), (-0.2, -0.1, "does not hold"), (-0.1, 0.2, "not shown"), (np.nan, 1.0, "not shown")],
)
def test_a_verdict_needs_an_interval_that_leaves_out_zero(low: float, high: float, verdict: str) -> None:
    assert by_interval(low, high) == verdict


def test_claims_become_a_table_with_the_columns_of_the_contract() -> None:
    class Judged(icl.Result):
        kind = "training-history"

        def judged(self) -> list[Claim]:
            return [Claim("it learns", 0.4, 0.1, 0.7, "guessing", "above zero", "holds", {"lr": 1})]

    result = Judged(curve().data)
    assert result.claims().columns.tolist() == ["claim", "measured", "low", "high", "control", "rule", "verdict"]
    assert result.answer() == ["it learns: holds (0.4 [0.1, 0.7] against guessing)."]


def test_a_table_that_became_a_result_still_works_with_a_warning() -> None:
    result = icl.published()
    with pytest.warns(DeprecationWarning, match=r"use Published\.data"):
        assert result["table_sim_aou"].sizes["task"] == 6
    with pytest.warns(DeprecationWarning, match="Published"):
        assert result.sizes["layer"] == 24
