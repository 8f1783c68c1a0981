"""What `compare` refuses, what a preset sets, and settings from the command line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from iclmech import ICLMechError
from iclmech.experiments import CONTROLS, CompareConfig, CompareError
from iclmech.experiments.comparison import _plan as plan
from iclmech.tasks import Task


def test_seeds() -> None:
    assert plan.seeds_of(3) == (0, 1, 2)
    assert plan.seeds_of([5, 2]) == (5, 2)
    for bad in (0, [], [1, 1]):
        with pytest.raises(CompareError, match="seeds"):
            plan.seeds_of(bad)


def test_updates() -> None:
    found = plan.updates_of(("gd", "lcgd_bottom_up"), "all", "attn_v")
    assert list(found) == ["gd", "lcgd_bottom_up"]
    assert found["lcgd_bottom_up"].keywords == {"order": "bottom_up", "loss": "all", "parameters": "attn_v"}
    own = lambda model, prompts, lr: None  # noqa: E731
    assert plan.updates_of({"mine": own, "gd": None}, "label", "attn_kv")["mine"] is own
    for bad in ("adam", {"a:b": own}, (), {"zs": own}):
        with pytest.raises(CompareError, match="update"):
            plan.updates_of(bad, "label", "attn_kv")


def test_rates() -> None:
    assert plan.rates_of("auto", ["gd"]) is None
    assert plan.rates_of(0.1, ["gd", "lcgd"]) == {"gd": (0.1,), "lcgd": (0.1,)}
    assert plan.rates_of([0, 1], ["gd"]) == {"gd": (0.0, 1.0)}
    assert plan.rates_of({"gd": [1, 2], "lcgd": [3, 4]}, ["gd", "lcgd"])["lcgd"] == (3.0, 4.0)
    for bad, message in (
        ("often", "'auto'"), (-1.0, "finite numbers"), (float("nan"), "finite"), ([], "finite"),
        ({"gd": 1.0}, "names no rate for lcgd"), ({"gd": [1, 2], "lcgd": 1}, "different lengths"),
    ):  # fmt: skip
        with pytest.raises(CompareError, match=message):
            plan.rates_of(bad, ["gd", "lcgd"])


def test_the_grid_is_logarithmic_and_spans_the_published_rates() -> None:
    assert plan.DEFAULT_GRID[0] <= 1.6e-4
    assert plan.DEFAULT_GRID[-1] >= 0.2
    ratios = [b / a for a, b in zip(plan.DEFAULT_GRID, plan.DEFAULT_GRID[1:], strict=False)]
    assert max(ratios) / min(ratios) < 1.1


def test_controls() -> None:
    assert plan.controls_of("all") == (CONTROLS, ())
    assert plan.controls_of("none") == ((), ())
    assert plan.controls_of(["icl:reordered", "untrained"])[0] == ("untrained", "icl:reordered")
    with pytest.raises(CompareError, match=r"'placebo'.*random_update"):
        plan.controls_of(["placebo"])


def test_metric_names() -> None:
    for name, function in (("sim_aou", len), ("a/b", len), ("mine", 3)):
        with pytest.raises(CompareError, match="metric"):
            plan.metrics_of({name: function}, ("sim_aou",))


def task(name: str) -> Task:
    return Task(name, [], [], "{text}", ["a", "b"])


GIVEN: dict[str, Any] = {"loss": None, "position": None, "separator": None, "lr": "auto", "k": 32, "seeds": 3}


def test_preset() -> None:
    options, deviations = plan.preset_options("deutch2024", task("sst2"), "gpt2", GIVEN)
    assert options == {"loss": "all", "position": "label", "separator": "<eos>", "direction": "uniform", "lr": 5e-4}
    assert any("gpt2" in d for d in deviations)
    assert any("order" in d for d in deviations)
    n = len(deviations)
    options, deviations = plan.preset_options("deutch2024", task("mine"), "gpt2", {**GIVEN, "loss": "label", "k": 8})
    assert options["loss"] == "label"
    assert options["lr"] == "auto"
    assert len(deviations) == n + 4  # another task, no rate, loss, k
    with pytest.raises(CompareError, match="deutch2024"):
        plan.preset_options("dai2023", task("sst2"), "gpt2", GIVEN)


def test_no_preset() -> None:
    options, deviations = plan.preset_options(None, task("sst2"), "gpt2", GIVEN)
    assert options == {
        "loss": "label",
        "position": "prediction",
        "separator": None,
        "direction": "gaussian",
        "lr": "auto",
    }
    assert not deviations


def test_config_holds_plain_values() -> None:
    assert {f.type for f in fields(CompareConfig)} <= {"str", "int", "float", "bool", "Path"}


def test_config_becomes_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def remember(model: Any, task: Any, **arguments: Any) -> None:
        seen.update(arguments, model=model, task=task)

    monkeypatch.setattr("iclmech.models.load_model", lambda name, device: name)
    monkeypatch.setattr("iclmech.tasks.load_task", lambda name, data: (name, data))
    monkeypatch.setattr("iclmech.experiments.comparison._protocol.compare", remember)
    CompareConfig(
        lr="0.01,0.1",
        separator="\\n\\n",
        updates="gd",
        controls="untrained,icl:reordered",
        wrong_task="mr",
        wrong_data="d",
    ).run()
    assert seen["lr"] == (0.01, 0.1)
    assert seen["separator"] == "\n\n"
    assert seen["updates"] == ("gd",)
    assert seen["controls"] == ("untrained", "icl:reordered")
    assert seen["wrong_task"] == ("mr", "d")
    CompareConfig(lr="3e-2").run()
    assert seen["lr"] == 0.03
    assert seen["separator"] is seen["wrong_task"] is seen["preset"] is None
    with pytest.raises(ICLMechError, match="fast"):
        CompareConfig(lr="fast").run()


def test_config_does_not_import_torch() -> None:
    code = (
        "import sys; from iclmech.experiments import CompareConfig; CompareConfig(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
