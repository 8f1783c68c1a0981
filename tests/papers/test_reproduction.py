"""A reproduction from its paper to its page, on a paper of one's own that costs next to nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import iclmech as icl
from iclmech._base import REGISTRIES, Result
from iclmech.papers import Paper, PaperClaim, Reading, Reproduction, call, claimed, valued

CLAIMS = (
    PaperClaim(
        "Two given factors make the third fast", run="toy", read=valued(claimed("b and c")), effect="share", unit="share of seeds",
        margin=0.5, control="no factor given", otherwise="fewer steps",
    ),
    PaperClaim("It does so in <b>brains</b>", why_not="there are no brains here"),
)  # fmt: skip


def planted(name: str, **more) -> Paper:
    """A paper whose run is the three-factor toy, registered under its name."""
    runs = {"toy": call("three-factor", quick={"seeds": 2, "steps": 300}, full={"seeds": 12, "steps": 300}, dim=8)}
    paper = Paper(**{"name": name, "title": "T", "authors": "A", "year": 2026, "claims": CLAIMS, "runs": runs, **more})
    if name not in REGISTRIES["paper"]._targets:
        REGISTRIES["paper"].add(name, paper)
    return REGISTRIES["paper"][name]


@pytest.fixture(autouse=True)
def forget_planted():
    """Take planted papers out of the registry again."""
    yield
    for name in [n for n in REGISTRIES["paper"]._targets if n.startswith("planted")]:
        del REGISTRIES["paper"]._targets[name]


def test_the_number_is_the_experiments_own():
    planted("planted")
    found = icl.reproduce("planted")
    toy = icl.dynamics.three_factor(dim=8, seeds=12, steps=300)
    assert found.judged()[0].measured == float(toy.claims()["measured"].iloc[-1])
    assert found.runs["toy"].data.equals(toy.data)


def test_one_row_for_each_claim_with_the_promised_columns():
    planted("planted")
    table: Any = icl.reproduce("planted", quick=True).claims()
    assert {"claim", "measured", "low", "high", "control", "rule", "verdict", "note", "seconds"} <= set(table.columns)
    assert table["verdict"].tolist() == ["quick: no claim", "not applicable"]
    assert math.isfinite(table["measured"][0])
    assert table["seconds"][0] > 0
    assert table["note"][1] == "there are no brains here"


def test_a_saved_reproduction_says_the_same(tmp_path: Path):
    planted("planted")
    found = icl.reproduce("planted")
    again = icl.load(found.save(tmp_path / "result.nc"))
    assert isinstance(again, Reproduction)
    assert again.claims().equals(found.claims())
    assert again.answer() == found.answer()
    assert again.judged()[0] == found.judged()[0]
    assert str(again.judged()[0].about) == str(found.judged()[0].about)  # as texts, because it holds NaN


def test_the_command_of_every_run_is_kept():
    planted("planted")
    runs = icl.reproduce("planted", quick=True).provenance["runs"]
    assert runs["toy"]["command"].startswith("iclmech three-factor --dim 8 --seeds 2")


def test_figure_and_page_show_claim_margin_and_command(tmp_path: Path):
    planted("planted")
    found = icl.reproduce("planted")
    figure: Any = found.figures()["claims"]
    drawn = [trace for trace in figure.data if trace.x[0] is not None]
    assert any(trace.x[0] == found.judged()[0].measured for trace in drawn)
    margins = [trace for trace in drawn if "triangle" in trace.marker.symbol]
    assert [(t.x[0], t.marker.symbol) for t in margins] == [(0.5, "triangle-right")]
    page = icl.write_report(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "iclmech reproduce planted" in page
    assert "iclmech three-factor" in page
    assert "&lt;b&gt;brains" in page
    assert "in <b>brains" not in page


def test_a_figure_of_claims_without_numbers_says_so():
    planted("planted-empty", claims=CLAIMS[1:], runs={})
    figure: Any = icl.reproduce("planted-empty").figures()["claims"]
    texts = [a.text for a in figure.layout.annotations]
    assert any("None of the claims" in text for text in texts)


def test_a_model_that_an_experiment_refuses_makes_its_claims_not_applicable():
    runs = {"toy": call("three-factor", clamp=("z",))}
    planted("planted-refused", runs=runs)
    claim = icl.reproduce("planted-refused").judged()[0]
    assert claim.verdict == "not applicable"
    assert "clamp=z" in claim.about["note"]


def test_a_misspelt_model_or_experiment_is_an_error_and_no_refusal():
    planted("planted-model", model="icl-mini")
    with pytest.raises(icl.ICLMechError, match="no-such-model"):
        icl.reproduce("planted-model", model="./no-such-model")
    planted("planted-experiment", runs={"toy": call("three-fractor")})
    with pytest.raises(icl.ICLMechError, match="Did you mean 'three-factor'"):
        icl.reproduce("planted-experiment")


def test_a_mistake_in_a_papers_file_is_not_taken_for_a_refusal():
    wrong = PaperClaim("C", run="toy", read=claimed("no such claim"), effect="e", unit="u", control="c")
    planted("planted-wrong", claims=(wrong,))
    with pytest.raises(icl.ICLMechError, match="without a claim on 'no such claim'"):
        icl.reproduce("planted-wrong")


def test_finished_runs_are_kept(tmp_path: Path):
    asked: list[str] = []

    def run(name: str, fail: bool = False):
        def go(asking):
            asked.append(name)
            if fail and len(asked) < 3:
                raise RuntimeError
            return Result(icl.dynamics.three_factor(dim=3, seeds=3, steps=2).data, kind="three-factor")

        return go

    def read(result):
        return Reading(1.0, 0.5, 1.5, 5)

    claims = tuple(PaperClaim(n, run=n, read=read, effect="e", unit="u", control="c") for n in ("first", "second"))
    planted("planted-kept", claims=claims, runs={"first": run("first"), "second": run("second", fail=True)})
    with pytest.raises(RuntimeError):
        icl.reproduce("planted-kept", out=tmp_path / "run")
    found = icl.reproduce("planted-kept", out=tmp_path / "run")
    assert asked == ["first", "second", "second"]
    assert [c.verdict for c in found.judged()] == ["holds", "holds"]


def test_the_command_line_writes_each_paper_into_a_directory_of_its_own(tmp_path: Path):
    here = Path(__file__).parents[1] / "extending"
    import os

    environment = {**os.environ, "ICLMECH_PLUGINS": "own_paper", "PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
    made = subprocess.run(
        [sys.executable, "-m", "iclmech.cli", "reproduce", "own2026", "--quick", "--quiet"], capture_output=True, text=True,
        check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "runs" / "reproduce" / "own2026-quick" / "result.nc").is_file()
    assert "quick: no claim" in made.stdout
    assert "Not asked here: It does so in brains" in made.stdout
