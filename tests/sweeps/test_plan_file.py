"""Plans in TOML, and the command that runs, resumes and shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iclmech import cli
from iclmech.sweeps import SweepError, plan_of_file

PLAN = """
experiment = "count"
out = "{out}"
[axes]
n = {{ from = 1, to = 4, factor = 2 }}
"word,rate" = [["a", 1], ["b", 0.5]]
[fixed]
seeds = {{ a = 1 }}
[local]
processes = 1
"""


def plan(tmp_path: Path, text: str = PLAN) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(text.format(out=tmp_path / "s").replace("seeds = { a = 1 }", "seeds = 2"))
    return path


def test_a_plan_is_the_arguments_of_sweep(tmp_path: Path):
    assert plan_of_file(plan(tmp_path)) == {
        "experiment": "count",
        "out": str(tmp_path / "s"),
        "axes": {"n": [1, 2, 4], "word,rate": [["a", 1], ["b", 0.5]]},
        "seeds": 2,
        "local": {"processes": 1},
    }
    bare = plan(tmp_path, 'experiment = "count"\n[axes]\nn = {{ from = 1, to = 5, step = 2 }}\n')
    assert plan_of_file(bare) == {"experiment": "count", "out": "runs/plan", "axes": {"n": [1, 3, 5]}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("experiment = ", "cannot be read as a plan"),
        ('experiment = "count"', "no axes"),
        ('experiment = "count"\nprocesses = 3\n[axes]\nn = [1]', "holds processes"),
        ('experiment = "count"\n[axes]\nn = {{ from = 1, until = 3 }}', "expected from, to"),
        ('experiment = "count"\n[axes]\nn = {{ from = 1, to = 3, step = 0 }}', "above 0"),
    ],
)
def test_mistakes_in_a_plan_are_told(text: str, says: str, tmp_path: Path):
    with pytest.raises(SweepError, match=says):
        plan_of_file(plan(tmp_path, text))


def said(capsys: pytest.CaptureFixture[Any], *arguments: str) -> str:
    cli.main(["sweep", *arguments])
    return capsys.readouterr().out


def test_the_command_runs_goes_on_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[Any]):
    path = str(plan(tmp_path))
    dry = said(capsys, path, "--executor", "dry-run")
    assert "6 cells of count; nothing is run" in dry
    assert "cannot tell" in dry
    assert not (tmp_path / "s").exists()
    assert "6 done" in said(capsys, path, "--quiet")
    assert "6 done" in said(capsys, path, "--status")
    assert "n=4, word=b, rate=0.5" in said(capsys, str(tmp_path / "s"), "--quiet")
    cli.main(["report", str(tmp_path / "s")])
    page = (tmp_path / "s" / "report.html").read_text()
    assert "How does what count finds change over n, word, rate?" in page
    assert "is above nothing" in page


def test_a_wrong_plan_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[Any]):
    with pytest.raises(SystemExit) as stop:
        cli.main(["sweep", str(tmp_path / "none.toml")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "cannot be read as a plan" in error
    assert error.count("\n") == 1
