"""What `compare` refuses, what a preset sets, and settings from the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from iclmech._base import REGISTRIES, from_ascii_json, to_ascii_json
from iclmech.experiments import CompareError, CompareRequest, ExperimentError
from iclmech.experiments._experiment import Given
from iclmech.experiments._request import field_types, read_text, seeds_of
from iclmech.experiments.comparison import _plan as plan
from iclmech.experiments.comparison._experiment import COMPARE
from iclmech.tasks import Task


def test_seeds() -> None:
    assert seeds_of(3) == (0, 1, 2)
    assert seeds_of([5, 2]) == (5, 2)
    for bad in (0, [], [1, 1]):
        with pytest.raises(ExperimentError, match="seeds"):
            seeds_of(bad)


def test_updates() -> None:
    found = plan.updates_of(("gd", "lcgd_bottom_up"), "all", "attn_v", {})
    assert list(found) == ["gd", "lcgd_bottom_up"]
    assert found["lcgd_bottom_up"].keywords == {"loss": "all", "parameters": "attn_v"}
    assert dict(found["lcgd_bottom_up"].func.options) == {"order": "bottom_up"}
    own = lambda model, prompts, lr: None  # noqa: E731
    assert plan.updates_of(("mine", "gd"), "label", "attn_kv", {"mine": own})["mine"] is own
    for bad, objects in (
        (("adam",), {}),
        (("a:b",), {"a:b": own}),
        ((), {}),
        (("zs",), {"zs": own}),
        (("untrained",), {"untrained": own}),
    ):
        with pytest.raises(CompareError, match="update"):
            plan.updates_of(bad, "label", "attn_kv", objects)


def test_rates() -> None:
    assert plan.rates_of("auto", ["gd"]) is None
    assert plan.rates_of(0.1, ["gd", "lcgd"]) == {"gd": (0.1,), "lcgd": (0.1,)}
    assert plan.rates_of([0, 1], ["gd"]) == {"gd": (0.0, 1.0)}
    assert plan.rates_of({"gd": [1, 2], "lcgd": [3, 4]}, ["gd", "lcgd"])["lcgd"] == (3.0, 4.0)
    assert plan.spell_rates({"gd": [1, 2], "lcgd": 3.5}) == "gd=1/2,lcgd=3.5"
    assert plan.rates_of("gd=1/2,lcgd=3/4", ["gd", "lcgd"]) == {"gd": (1.0, 2.0), "lcgd": (3.0, 4.0)}
    for bad, message in (
        ("often", "auto"), (-1.0, "finite numbers"), (float("nan"), "finite"), ([], "finite"),
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
    named = ("icl:tuned_context", "icl:random_context")
    every = tuple(name for name in REGISTRIES["control"] if name not in named)
    assert plan.controls_of(("all",)) == (every, ())
    assert plan.controls_of(named) == (named, named)
    assert plan.controls_of(("none",)) == ((), ())
    assert plan.controls_of(["icl:reordered", "untrained"])[0] == ("untrained", "icl:reordered")
    with pytest.raises(CompareError, match=r"'placebo'.*random_update"):
        plan.controls_of(["placebo"])


def test_metric_names() -> None:
    for name, function in (("sim_aou", len), ("a/b", len), ("mine", 3)):
        with pytest.raises(CompareError, match="metric"):
            plan.metrics_of((name,), {name: function}, ("sim_aou",))


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


def test_the_words_of_the_command_line_become_values() -> None:
    kinds = field_types(CompareRequest)
    assert read_text("0.01,0.1", kinds["lr"], "lr") == (0.01, 0.1)
    assert read_text("3e-2", kinds["lr"], "lr") == 0.03
    assert read_text("auto", kinds["lr"], "lr") == "auto"
    assert read_text("\\n\\n", kinds["separator"], "separator") == "\n\n"
    assert read_text("", kinds["separator"], "separator") is None
    assert read_text("untrained,icl:reordered", kinds["controls"], "controls") == ("untrained", "icl:reordered")
    assert read_text("3", kinds["seeds"], "seeds") == 3
    assert read_text("3,5", kinds["seeds"], "seeds") == (3, 5)
    with pytest.raises(ExperimentError, match=r"k='many'.*a whole number"):
        read_text("many", kinds["k"], "k")
    with pytest.raises(CompareError, match="fast"):
        plan.rates_of("fast", ["gd"])


def test_a_request_survives_a_file() -> None:
    request = CompareRequest(lr=(0.01, 0.1), seeds=(3, 1), separator="\n", sites=("attn_out", "attn_scores"))
    again = CompareRequest.from_record(from_ascii_json(to_ascii_json(request.record())))
    assert again == request
    assert again.hash == request.hash != CompareRequest().hash
    with pytest.raises(ExperimentError, match="n_qeries"):
        CompareRequest.from_record({"n_qeries": 3})


def test_what_is_ones_own_is_named_by_its_content() -> None:
    given = Given()
    first = given.name("position", lambda query, context: 1)
    assert first.startswith("custom:")
    assert first == Given().name("position", lambda query, context: 1)
    assert first != Given().name("position", lambda query, context: 2)
    depth = 3
    assert Given().name("position", lambda query, context: depth) == "custom:unhashed"
    assert CompareRequest(position=first).objects == ["position"]
    assert CompareRequest(position="label").objects == []
    with pytest.raises(ExperimentError, match=r"position of this request.*register"):
        COMPARE.run(CompareRequest(position=first), progress=False)


def test_requests_need_no_torch() -> None:
    code = (
        "import sys; from iclmech.experiments import CompareRequest; CompareRequest(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
