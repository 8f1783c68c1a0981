"""The table of the documentation says what the saved runs say, and refuses runs of other claims."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from iclmech._base import REGISTRIES, Claim
from iclmech.papers import Reproduction

SCRIPT = Path(__file__).parents[2] / "scripts" / "papers_table.py"


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec: Any = importlib.util.spec_from_file_location("papers_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def saved(directory: Path, *, quick: bool, change: str = "") -> None:
    """A run of rep2023, with numbers that were planted for its two claims."""
    paper = REGISTRIES["paper"]["rep2023"]
    about = {
        "source": "paper",
        "side": "above",
        "unit": "r_s",
        "run": "r",
        "note": "",
        "margin": 0.25,
        "p": 0.01,
        "p_adjusted": 0.02,
        "n": 5,
    }
    claims = [
        Claim(c.claim + change, -0.5, -0.75, 0.125, "no | learning", "rule", "not shown", about) for c in paper.claims
    ]
    origin = {
        "paper": {"name": paper.name, "title": paper.title, "authors": paper.authors, "year": paper.year, "arxiv": paper.arxiv, "about": ""},
        "quick": quick, "model": {"name": "hub/m"}, "runs": {"r": {"command": "", "seconds": 3.0}},
        "kind": "reproduce", "request": {"name": paper.name, "model": "hub/m", "quick": quick},
    }  # fmt: skip
    directory.mkdir(parents=True)
    Reproduction.of(claims, [3.0, 3.0], origin).save(directory / "result.nc")


def test_a_row_has_model_verdict_number_interval_and_margin(table: ModuleType, tmp_path: Path):
    saved(tmp_path / "a", quick=True)
    saved(tmp_path / "b", quick=False)
    page = table.page(tmp_path)
    row = next(line for line in page.splitlines() if "m, quick" in line and "−0.5" in line)
    assert [cell.strip() for cell in row.split(" | ")][1:] == [
        "paper", "m, quick", "not shown", "−0.5 [−0.75, 0.125] r\\_s", "\\> 0.25", "no \\| learning |",
    ]  # fmt: skip
    assert "`iclmech reproduce rep2023 --model hub/m --quick --out runs/rep2023` (3 CPU-seconds)" in page
    assert page.count("| [rep2023](#rep2023) |") == 2
    assert "## shen2024" not in page


def test_runs_of_other_claims_are_refused(table: ModuleType, tmp_path: Path):
    saved(tmp_path / "a", quick=True, change=" and more")
    with pytest.raises(SystemExit, match="rep2023 have other claims"):
        table.page(tmp_path)
