"""Adding a measure, a control, an update and an experiment from outside the package; found again in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLUGINS = "own_measure,own_control,own_update,own_experiment"


def run(*words: str, plugins: str = PLUGINS) -> subprocess.CompletedProcess[str]:
    """A fresh process that knows the files beside this one as plug-ins."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "ICLMECH_PLUGINS": plugins, "PYTHONPATH": path}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command line, with a measure, a control and an update that the package does not know."""
    out = tmp_path_factory.mktemp("own") / "run"
    made = run("-m", "iclmech.cli", "compare", "--k", "4", "--n-queries", "8", "--seeds", "2", "--lr", "0.03", "--n-boot", "50",
               "--updates", "gd,sign", "--metrics", "size_ratio", "--controls", "untrained,random_update,icl:another_order",
               "--out", str(out))  # fmt: skip
    assert made.returncode == 0, made.stderr
    return out


ASK = """
import json, sys, iclmech as icl
result = icl.load(sys.argv[1])
data = result.means
figure = icl.figures.similarity_by_layer(result, "size_ratio")
print(json.dumps({
    "comparisons": [str(c) for c in data["comparison"].values],
    "dims": list(data["size_ratio"].dims),
    "known": bool(data["size_ratio"].sel(comparison="sign:random_update", variant="untrained").notnull().all()),
    "contrasts": [str(c) for c in data["contrast"].values],
    "axis": figure.layout.yaxis.title.text,
    "lines": sorted({t.name for t in figure.data if t.name}),
    "titles": [a.text for a in figure.layout.annotations],
    "claims": result.claims()["claim"].tolist(),
}))
"""


def test_measure_control_and_update_get_everything_that_built_in_ones_get(compared: Path) -> None:
    made = run("-c", ASK, str(compared))
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert found["comparisons"] == ["gd", "sign", "gd:random_update", "sign:random_update", "icl:another_order"]
    assert found["dims"] == ["comparison", "variant", "seed", "lr", "layer"]
    assert found["known"]
    assert {"sign - gd", "sign: trained - untrained", "sign - icl:another_order"} <= set(found["contrasts"])
    assert found["axis"] == "size of the update's shift beside ICL's (ratio)"
    assert "another order" in found["lines"]
    assert any("sign descent (SIGN)" in title for title in found["titles"])
    assert "SIGN is more like ICL than yet another order of the demonstrations" in found["claims"]


def test_a_comparison_opens_where_the_plug_ins_are_missing(compared: Path) -> None:
    made = run(
        "-c", "import sys, iclmech as icl; print(len(icl.load(sys.argv[1]).summary()) > 10)", str(compared), plugins=""
    )
    assert made.stdout.strip() == "True", made.stderr


def test_an_experiment_has_its_command_its_file_its_figure_and_its_page(tmp_path: Path) -> None:
    out = tmp_path / "curve"
    made = run("-m", "iclmech.cli", "curve", "--ks", "1,8", "--n-queries", "8", "--seeds", "2", "--out", str(out))
    assert made.returncode == 0, made.stderr
    assert "learns in context" in made.stdout
    assert run("-m", "iclmech.cli", "report", str(out)).returncode == 0
    page = (out / "report.html").read_text()
    assert "How many demonstrations does icl-mini need?" in page
    assert "Flat means no learning." in page
    assert "iclmech curve --model icl-mini --task mini/sentiment" in page
    again = run(
        "-c", "import sys, iclmech as icl; r = icl.load(sys.argv[1]); print(type(r).__name__, *r.figures())", str(out)
    )
    assert again.stdout.split() == ["Curve", "curve"], again.stderr


def test_a_result_of_an_unknown_kind_gives_numbers_and_says_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "curve"
    assert (
        run("-m", "iclmech.cli", "curve", "--ks", "1", "--n-queries", "4", "--seeds", "2", "--out", str(out)).returncode
        == 0
    )
    ask = "import sys, iclmech as icl; r = icl.load(sys.argv[1]); print(r.kind, len(r.summary()), len(r.claims()), *r.answer())"
    made = run("-c", ask, str(out), plugins="")
    assert made.stdout.startswith("curve 1 0 No experiment called 'curve' is registered here"), (
        made.stdout + made.stderr
    )


def test_help_of_an_experiment_from_outside_needs_no_torch() -> None:
    made = run("-m", "iclmech.cli", "curve", "--help")
    assert "--ks" in made.stdout
    assert "Numbers of demonstrations" in made.stdout


def test_a_plug_in_that_is_not_there_is_named() -> None:
    made = run("-m", "iclmech.cli", "models", plugins="no_such_module")
    assert made.returncode == 2
    assert "no_such_module" in made.stderr
    assert made.stderr.count("\n") == 1
