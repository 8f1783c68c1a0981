"""What a comparison would take: counted from the plan, as many steps as it then reports, and never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import iclmech as icl
from iclmech._base import Cells
from iclmech.experiments import CompareRequest, ExperimentError
from iclmech.experiments.comparison import _protocol as protocol
from iclmech.experiments.comparison._cost import Estimate, work_of
from iclmech.experiments.comparison._experiment import COMPARE
from iclmech.experiments.comparison._plan import plan_of

SMALL: dict[str, Any] = {"k": 2, "n_queries": 4, "seeds": 2, "n_boot": 20, "updates": ("gd",)}


@pytest.fixture(scope="module")
def mini() -> icl.ICLModel:
    return icl.load_model("icl-mini")


def small_task() -> icl.Task:
    records = [{"text": f"{'good' if i % 2 else 'poor'} {i}", "label": (i // 2) % 2} for i in range(24)]
    return icl.Task.from_records(records, records, template="{text} =", label_words=["negative", "positive"])


@pytest.mark.parametrize("lr", [0.01, "auto"])
def test_the_steps_that_are_reported_are_those_that_were_counted(
    tiny_model: Callable[..., icl.ICLModel], lr: Any
) -> None:
    one = isinstance(lr, float)
    controls = ("untrained", "matched_update", "shuffled_labels", "icl:shuffled_labels")
    request = CompareRequest(
        lr=lr, n_permutations=2, label_specific=one, controls=controls if one else ("untrained",), **SMALL
    )
    plan = plan_of(request, small_task(), "m", {})
    said: list[str] = []
    protocol._compare(tiny_model("gpt2", 2), small_task(), plan, said.append, Cells())
    counted = work_of(plan).steps
    assert len(said) <= counted
    if one:  # else the walk may end early
        assert len(said) == counted


def test_a_dry_run_counts_and_times_and_runs_nothing(mini: icl.ICLModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(protocol, "_compare", never)
    found = icl.compare(mini, "mini/sentiment", lr=0.01, dry_run=True, **SMALL)
    more = icl.compare(mini, "mini/sentiment", lr=0.01, dry_run=True, **{**SMALL, "seeds": 4})
    assert isinstance(found, Estimate)
    assert isinstance(more, Estimate)
    assert found.seconds > 0
    assert 1.9 < more.tokens / found.tokens < 2.01
    assert more.work.updates["gd"] == 2 * found.work.updates["gd"]
    assert "on this machine" in str(found)


def test_what_cannot_tell_says_so() -> None:
    from iclmech._base import REGISTRIES

    circuit = REGISTRIES["experiment"]["circuit"]
    assert not circuit.estimate
    with pytest.raises(ExperimentError, match="circuit cannot tell beforehand"):
        circuit.estimated(circuit.request())
    assert COMPARE.estimate
