"""The command line: answers at once, one line on bad input, never writes over a result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from iclmech import cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iclmech.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_help_needs_neither_torch_nor_a_model():
    code = (
        "import sys\nfrom iclmech import cli\ntry: cli.main(['compare', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'transformer_lens', 'transformers', 'xarray', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--n-queries" in out
    assert out.strip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compare", "--k", "many"], "--k"),
        (["compare", "--no-such-flag"], "no-such-flag"),
        (["no-such-command"], "no-such-command"),
        (["compare", "--lr", "fast"], "expected auto, a number"),
        (["compare", "--task", "no/such/task"], "no/such/task"),
        (["report", "no-such-directory"], "no-such-directory"),
    ],
)
def test_bad_input_is_told_in_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    more = ["--out", str(tmp_path / "out")] if arguments[0] == "compare" else []
    with pytest.raises(SystemExit) as stop:
        cli.main([*arguments, *more])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in error
    assert error.startswith("iclmech: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_result_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "result.nc").write_text("mine")
    with pytest.raises(SystemExit):
        cli.main(["compare", "--out", str(tmp_path)])
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "result.nc").read_text() == "mine"


def test_models_and_tasks_are_listed(capsys: pytest.CaptureFixture[str]):
    cli.main(["models", "--names"])
    cli.main(["tasks", "--names"])
    lines = capsys.readouterr().out.splitlines()
    assert {"icl-mini", "mini/sentiment", "sst2"} <= set(lines)


def test_the_lists_say_what_each_is_and_needs(capsys: pytest.CaptureFixture[str]):
    cli.main(["models"])
    cli.main(["tasks"])
    text = capsys.readouterr().out
    lines = text.splitlines()
    of = {line.split(" ")[0]: line for line in lines if not line.startswith(" ")}
    assert "4 layers × 4 heads × 64" in of["icl-mini"]
    assert {"mini/sentiment", "sst2", "words/plural"} <= set(of)
    assert "label words" in text
    assert "needs" in text
    assert max(map(len, lines)) <= 100
