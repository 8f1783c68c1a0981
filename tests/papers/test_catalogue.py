"""The data of every paper: names, claims, rules, sources; and the list, which brings no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import iclmech as icl
from iclmech._base import REGISTRIES
from iclmech.papers import Paper

NAMES = [
    "deutch2024",
    "dai2023",
    "shen2024",
    "cho2025",
    "singh2024",
    "reddy2024",
    "chan2022",
    "anand2025",
    "kirsch2022",
    "han2023",
    "park2024",
    "akyurek2023",
    "vonoswald2023",
    "zhang2024",
    "panwar2024",
    "zhang2023bma",
    "bhattamishra2024",
    "sequential2023",
    "guo2024",
    "rep2023",
    "akyurek2024",
    "liu2024",
    "hendel2023",
    "todd2024",
    "fei2023",
    "li2024",
    "su2023",
    "ideal2024",
    "dynaicl2023",
    "cpt2024",
    "wang2024",
    "chen2023",
    "walk2023",
]


@pytest.fixture(params=NAMES)
def paper(request: pytest.FixtureRequest) -> Paper:
    return REGISTRIES["paper"][request.param]


def test_every_paper_is_listed_once():
    assert icl.list_papers() == NAMES


def test_the_table_of_claims_names_the_same_papers():
    table = Path(__file__).parents[3] / "shared" / "PAPERS.md"
    if not table.is_file():
        pytest.skip("the table of claims is not here")
    cells = [line.split("|")[1].strip() for line in table.read_text().splitlines() if line.startswith("| ")]
    listed = [name.strip() for cell in cells[1:] for name in cell.split(",") if not set(cell) <= {"-", " "}]
    assert set(listed) == set(NAMES)


def test_a_paper_says_where_it_is_from(paper: Paper):
    assert paper.title
    assert paper.authors
    assert 2020 < paper.year < 2027
    assert len(paper.arxiv.split(".")[0]) == 4
    assert paper.arxiv.replace(".", "").isdigit()
    assert paper.claims
    assert len({c.claim for c in paper.claims}) == len(paper.claims)


def test_every_claim_has_a_rule_a_source_and_a_run_or_a_reason(paper: Paper):
    for claim in paper.claims:
        assert claim.source in ("paper", "ours")
        assert claim.rule in ("above", "below", "within", "the experiment's own", "descriptive")
        assert claim.rule_text
        assert bool(claim.run) != bool(claim.why_not), claim.claim
        assert not claim.claim.endswith(".")
        assert claim.claim[0].isupper()
        if claim.run:
            assert claim.run in paper.runs
            assert claim.read is not None
            assert claim.effect, claim.claim
            assert claim.control, claim.claim
            assert claim.unit or claim.rule in ("the experiment's own", "descriptive"), claim.claim


def test_every_run_is_read_by_some_claim(paper: Paper):
    assert {claim.run for claim in paper.claims if claim.run} == set(paper.runs)


def test_lists_bring_no_torch(tmp_path: Path):
    code = "import sys; from iclmech.cli import main; main([{0!r}, {1}]); sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code.format("papers", "'--names'")], capture_output=True, text=True, check=False
    )
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.split() == NAMES
    table = subprocess.run(
        [sys.executable, "-c", code.format("papers", "")], capture_output=True, text=True, check=False
    )
    assert table.returncode == 0, table.stderr
    assert "Decision-pretrained transformers" in table.stdout
    assert "Inherent limits" in table.stdout


def test_a_misspelt_paper_is_met_with_the_nearest():
    with pytest.raises(icl.ICLMechError, match="Did you mean 'dai2023'"):
        icl.reproduce("dai2O23")


def test_a_paper_with_nets_of_its_own_takes_no_model():
    with pytest.raises(icl.ICLMechError, match="leave the model out"):
        icl.reproduce("reddy2024", model="icl-mini")
