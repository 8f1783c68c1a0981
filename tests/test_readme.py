"""The README's Python runs as printed, and the files it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    assert (tmp_path / "run.html").stat().st_size > 10_000
    assert (tmp_path / "contrasts.html").is_file()
    out = capsys.readouterr().out
    assert "SimAOU" in out
    assert "learns in context" in out


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_the_two_commands_come_first():
    first = README.index("```sh")
    assert README.index("make run") < README.index("make test") < README.index("```python")
    assert first < README.index("make run")
