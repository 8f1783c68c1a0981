"""Similarity over training: each snapshot is a comparison, the course says what its numbers say, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import iclmech as icl
from iclmech.dynamics import Classes, History, SimilarityOverTraining, _similarity as module
from iclmech.dynamics._snapshot_requests import SimilarityRequest
from iclmech.experiments import ExperimentError

dyn = icl.dynamics
SMALL: dict[str, Any] = {"k": 4, "n_queries": 4, "seeds": 2, "updates": ("gd",), "lr": 0.1}


@pytest.fixture(scope="module")
def history() -> History:
    return dyn.train(Classes(novel=1.0), seeds=2, steps=4, evaluate=4, rows=16)


def test_every_snapshot_is_the_comparison_made_by_hand(history: History):
    found = dyn.similarity_over_training(history, runs=1, steps=[4], **SMALL)
    by_hand = icl.compare(
        history.snapshot(0, 4), history.task(0), controls=("random_direction", "matched_update"), label_specific=True,
        n_examples=0, progress=False, **SMALL,
    ).data  # fmt: skip
    at: dict[str, Any] = {"run": 0, "step": 4}
    for name in ("gd", "random_direction", "gd:matched_update"):
        mine = found.data["sim_aou"].sel(comparison=name, **at)
        assert float(mine) == float(by_hand["sim_aou_overall"].sel(comparison=name).squeeze())
    mine = found.data["label_specific_ci"].sel(update="gd", **at)
    assert np.array_equal(mine.values, by_hand["sim_aou_labels_mean_ci"].sel(comparison="gd").squeeze().values)
    right = by_hand["accuracy_overall"].squeeze()
    gain = float(found.data["gain"].sel(**at))
    assert gain == pytest.approx(float(right.sel(setting="icl") - right.sel(setting="zs")))
    less = found.data["above_control"].sel(update="gd", **at)
    assert float(less) == float(by_hand["sim_aou_contrast"].sel(contrast="gd - gd:matched_update").squeeze())


def test_a_course_that_was_broken_off_goes_on_at_the_next_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measured, made = module._measured, []

    def counted(point: Any, request: Any, updates: Any) -> Any:
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(point.step)
        return measured(point, request, updates)

    few: dict[str, Any] = {**SMALL, "k": 2, "seeds": 1, "steps": (0, 500), "label_specific": False}
    monkeypatch.setattr(module, "_measured", counted)
    with pytest.raises(KeyboardInterrupt):
        dyn.similarity_over_training("icl-mini", "mini/held-pair", out=tmp_path, **few)
    monkeypatch.setattr(module, "_measured", lambda p, *rest: made.append(p.step) or measured(p, *rest))
    again = dyn.similarity_over_training("icl-mini", "mini/held-pair", out=tmp_path, **few)
    assert made == [0, 500]
    monkeypatch.setattr(module, "_measured", measured)
    assert again.data.identical(dyn.similarity_over_training("icl-mini", "mini/held-pair", **few).data)


def test_the_snapshots_of_icl_mini_end_with_the_finished_model():
    points, about = module.points_of(SimilarityRequest(), "icl-mini", None)
    assert [p.step for p in points][:3] == [0, 500, 1000]
    assert points[-1].step == 12002
    assert points[-1].load()[0].hash() == icl.load_model("icl-mini").hash() != points[-2].load()[0].hash()
    assert about["task"]["name"] == "mini/topic-symbols"


def test_what_has_no_snapshots_or_no_task_is_refused(history: History):
    with pytest.raises(ExperimentError, match=r"got steps \[7\]; the snapshots are of steps \[0, 4\]"):
        dyn.similarity_over_training(history, steps=[7])
    with pytest.raises(ExperimentError, match="got models without a task"):
        dyn.similarity_over_training({0: "icl-mini@step-0"})


def course(above: list[list[float]], labels: list[float], accuracy: list[list[float]], half: float = 0.05) -> Any:
    """One update; [run][step] of SimAOU above the control and of accuracy; labels at the last step."""
    runs, steps = len(above), len(above[0])
    data = xr.Dataset(coords={"run": range(runs), "step": [100 * n for n in range(steps)], "bound": ["low", "high"]})

    def put(name: str, axis: str, key: str, values: np.ndarray) -> None:
        data[name] = (("run", "step", axis), values[..., None])
        data[f"{name}_ci"] = (
            ("run", "step", axis, "bound"),
            np.stack([values - half, values + half], -1)[..., None, :],
        )
        data.coords[axis] = [key]

    put("above_control", "update", "gd", np.array(above))
    late = np.zeros((runs, steps))
    late[:, -1] = labels
    put("label_specific", "update", "gd", late)
    put("accuracy", "setting", "icl", np.array(accuracy))
    return SimilarityOverTraining(data)


def verdicts(*of: Any, **more: Any) -> list[str]:
    return course(*of, **more).claims()["verdict"].tolist()


def test_claims_follow_the_course():
    late, early, flat = [0.0, 0.0, 0.0, 0.4], [0.0, 0.4, 0.4, 0.4], [0.2, 0.2, 0.2, 0.2]
    learned = [[0.25, 0.25, 0.9, 0.9]] * 3
    assert verdicts([early, early, early], [0.3] * 3, learned) == ["holds", "holds", "holds", "holds"]
    assert verdicts([late, late, late], [0.3] * 3, learned)[3] == "does not hold"
    assert verdicts([flat, flat, flat], [0.0] * 3, learned) == ["holds", "not shown", "not shown", "not shown"]
    assert verdicts([early], [0.3], learned[:1]) == ["holds", "holds", "holds", "not shown"]
    assert verdicts([early], [0.3], learned[:1], half=0.5)[:3] == ["not shown"] * 3
    table = course([early], [0.3], learned[:1]).half_rises()
    assert table.loc[0, ["accuracy", "gd"]].tolist() == [150.0, 50.0]
