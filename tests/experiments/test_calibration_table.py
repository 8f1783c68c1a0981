"""Calibration as an experiment: cells against the functions one by one, ensembles, reliability, files, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import iclmech as icl
from iclmech.calibration import calibrated, ensemble, measure_biases, prior
from iclmech.experiments import ExperimentError


@pytest.fixture(scope="module")
def result() -> icl.CalibrationTable:
    return icl.calibration_table(
        "icl-mini", "mini/sentiment-5", k=2, n_queries=32, seeds=3, methods=("dc", "affine"), n_train=16, members=2, bins=4
    )  # fmt: skip


def test_cells_are_what_the_functions_give(result: icl.CalibrationTable) -> None:
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment-5")
    texts = [e.text for e in task.train[:16]]
    plain, better, errors, biases, joined = [], [], [], [], []
    for seed in range(3):
        prompts = icl.build_prompts(model, task, 2, 32, seed)
        acts = icl.capture(model, prompts, "icl", ())
        made = calibrated(acts, prior(model, prompts, "dc", texts=texts, seed=seed))
        plain.append(float(icl.metrics.accuracy(acts, prompts.labels)))
        better.append(float(icl.metrics.accuracy(made, prompts.labels)))
        errors.append(float(icl.metrics.ece(made, prompts.labels, 4)))
        biases.append(float(measure_biases(model, prompts, texts=texts, seed=seed).domain))
        other = icl.build_prompts(model, task, 2, 32, 1000 * (seed + 1) + 1)
        pair = [acts, icl.capture(model, other, "icl", ())]
        joined.append(float(icl.metrics.accuracy(ensemble(pair, "vote"), prompts.labels)))
    d, at = result.data, {"setting": "icl", "calibration": "dc"}
    assert float(d["accuracy"].sel(setting="icl", calibration="none")) == pytest.approx(np.mean(plain))
    assert float(d["accuracy"].sel(at)) == pytest.approx(np.mean(better))
    assert float(d["above_none"].sel(at)) == pytest.approx(np.mean(better) - np.mean(plain))
    assert float(d["ece"].sel(at)) == pytest.approx(np.mean(errors))
    assert float(d["bias"].sel(bias_of="domain")) == pytest.approx(np.mean(biases))
    assert float(d["ensemble_accuracy"].sel(over="demonstrations", join="vote")) == pytest.approx(np.mean(joined))
    assert list(d["calibration"].values) == ["none", "dc", "affine"]


def test_the_bins_of_all_seeds_hold_all_predictions(result: icl.CalibrationTable) -> None:
    d = result.data.sel(calibration="none")
    assert float(d["bin_count"].sum()) == 3 * 32
    share = (d["bin_accuracy"] * d["bin_count"]).sum() / 96
    assert float(share) == pytest.approx(float(d["accuracy"].sel(setting="icl")))
    assert bool((d["bin_low"] <= d["bin_high"]).all())


def test_claims_figures_and_file(result: icl.CalibrationTable, tmp_path: Path) -> None:
    claims = result.claims()
    assert len(claims) == 2 * 2 + 2 * 8
    assert set(result.figures()) == {"accuracy", "reliability"}
    again = icl.load(result.save(tmp_path / "calibration.nc"))
    assert again.claims().equals(claims)
    assert again.answer() == result.answer()
    assert "floor" in again.answer()[0]


def test_refusals() -> None:
    with pytest.raises(ExperimentError, match="n_queries=16"):
        icl.calibration_table("icl-mini", "mini/topic", n_queries=16)
    with pytest.raises(ExperimentError, match="got methods=\\['temperature'\\]"):
        icl.calibration_table("icl-mini", "mini/topic", methods=("temperature",))
