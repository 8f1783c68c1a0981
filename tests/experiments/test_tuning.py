"""Tuned contexts as an experiment: cells against the function, claims, files, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import iclmech as icl
from iclmech.context_tuning import tune_context
from iclmech.experiments import ExperimentError


def test_cells_claims_and_file(tmp_path: Path) -> None:
    result = icl.tuned_contexts("icl-mini", "mini/topic", k=2, n_queries=5, seeds=3, radii=(0.1, 0.5), steps=2)
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/topic")
    tuned, plain, losses = [], [], []
    for seed in range(3):
        prompts = icl.build_prompts(model, task, 2, 5, seed)
        made = tune_context(model, prompts, steps=2, radius=0.5)
        losses.append(made.losses[-1])
        tuned.append(icl.accuracy(model, prompts, interventions=[made]))
        plain.append(icl.accuracy(model, prompts))
    d = result.data
    assert float(d["accuracy"].sel(way="tuned", radius=0.5)) == pytest.approx(np.mean(tuned))
    assert float(d["above_icl"].sel(way="tuned", radius=0.5)) == pytest.approx(np.mean(tuned) - np.mean(plain))
    assert float(d["context_loss"].sel(radius=0.5)) == pytest.approx(np.mean(losses), rel=1e-4)
    assert float(d["context_loss"].sel(radius=0.5)) < float(d["icl_loss"])
    assert len(result.claims()) == 4
    again = icl.load(result.save(tmp_path / "tuning.nc"))
    assert again.answer() == result.answer()
    assert set(again.figures()) == {"radius"}


def test_refusals() -> None:
    with pytest.raises(ExperimentError, match="radii above 0"):
        icl.tuned_contexts("icl-mini", "mini/topic", radii=(0.0,))
