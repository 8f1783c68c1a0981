"""Runs with a directory that were broken off in the middle go on, and end as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iclmech as icl
from iclmech.cli import main
from iclmech.dynamics import PHASE_DIAGRAM, TRAIN, PhaseRequest, TrainRequest, _stack_training as training
from iclmech.training import _trainer as trainer

REQUESTS: dict[str, Any] = {
    "train": (TRAIN, TrainRequest("classes(novel=1.0)", seeds=2, steps=8, evaluate=3, rows=16)),
    "phase-diagram": (PHASE_DIAGRAM, PhaseRequest("classes", ("n_classes=32/64",), seeds=1, steps=8, rows=16)),
}


class Killed(BaseException):
    """What ends a run in the middle of a step."""


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_a_run_that_was_killed_goes_on_where_its_last_state_was_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment, request = REQUESTS[kind]
    whole = experiment.run(request, progress=False)
    steps, step = [], trainer.train_step

    def counted(run: Any, batch: Any) -> Any:
        if len(steps) == 5:
            raise Killed
        steps.append(run.step)
        return step(run, batch)

    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    monkeypatch.setattr(trainer, "train_step", counted)
    with pytest.raises(Killed):
        experiment.run(request, progress=False, out=tmp_path)
    steps.clear()
    monkeypatch.setattr(trainer, "train_step", lambda run, batch: steps.append(run.step) or step(run, batch))
    again = experiment.run(request, progress=False, out=tmp_path)
    assert steps == [4, 5, 6, 7]
    assert again.data.identical(whole.data)
    stored = icl.load(tmp_path)
    assert stored.data.identical(whole.data)
    if kind == "train":
        for result in (again, stored):
            assert result.snapshots.steps == [0, 3, 6, 8]  # type: ignore[attr-defined]  # a History
            for name, value in whole.snapshots.weights(8).items():
                assert np.array_equal(result.snapshots.weights(8)[name], value)  # type: ignore[attr-defined]


def test_a_finished_training_is_replaced_when_that_is_asked_for_snapshots_and_all(tmp_path: Path):
    flags = ["--seeds", "1", "--rows", "16", "--quiet", "--out", str(tmp_path)]
    main(["train", "classes(novel=1.0)", "--steps", "2", "--evaluate", "1", *flags])
    main(["train", "classes(novel=1.0)", "--steps", "4", "--evaluate", "4", *flags, "--force"])
    assert icl.load(tmp_path).snapshots.steps == [0, 4]  # type: ignore[attr-defined]  # a History
