"""The documentation says what the code does: its Python runs, its error texts are real, every public name is there once."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "executed"} & set(p.parts))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def blocks(path: Path) -> list[str]:
    """Python that is meant to run; what needs a download or a GPU is marked ```py instead."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(DOCS)))
def test_python_on_a_page_runs_as_printed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(DOCS)))
def test_python_that_is_not_run_parses(page: Path):
    for block in re.findall(r"^```py\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        ast.parse(block)


def test_the_simulations_give_what_the_text_says(capsys: pytest.CaptureFixture[str]):
    for page in ("concepts.md", "methods/shifts.md"):
        exec(compile(blocks(DOCS / page)[0], page, "exec"), {})
    found = dict(re.findall(r"^(\w+) +(-?[\d.]+)$", capsys.readouterr().out, flags=re.MULTILINE))
    assert 0.1 < float(found["SimAOU"]) < 0.3
    assert abs(float(found["SimAOU"]) - float(found["null"])) < 0.01
    assert abs(float(found["debiased"])) < 0.02
    assert 0.7 < float(found["plain"]) < 0.8


def literals() -> str:
    """Every text in the package's sources, with {} in place of what is filled in."""
    texts = []
    for path in sorted((ROOT / "iclmech").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_error_texts_are_the_ones_in_the_code():
    known = re.sub(r"\{\}", "", literals())
    headings = re.findall(r"^### (.*)$", (DOCS / "errors.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    quoted = [text for heading in headings for text in re.findall(r'"([^"]+)"', heading)]
    assert len(quoted) > 25
    for text in quoted:
        assert text in known or re.sub(r"\b\d+\b", "", text) in known, f"no message says {text!r}"


def test_the_table_of_errors_has_all_of_them():
    from iclmech import _base
    from iclmech.analysis import AnalysisError
    from iclmech.experiments import CircuitError, CompareError
    from iclmech.interventions import InterventionError

    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    errors = [e for name, e in vars(_base).items() if name.endswith("Error") and name != "ICLMechError"]
    for error in (*errors, AnalysisError, CircuitError, CompareError, InterventionError):
        assert f"`{error.__name__}`" in page, error


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_public_name_once(tmp_path: Path):
    extension("house_docstrings")
    api = extension("api_pages")
    api.write(tmp_path)
    text = "\n".join(page.read_text(encoding="utf-8") for page in tmp_path.glob("*.rst"))
    counted = Counter(re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", text, flags=re.MULTILINE))
    assert max(counted.values()) == 1
    expected = 0
    seen = set()
    for area in api.AREAS:
        for name in api.exported(area.source):
            thing = api.resolve(area.prefix, name)
            if not isinstance(thing, ModuleType) and (name, id(thing)) not in seen:
                seen.add((name, id(thing)))
                expected += 1
                assert f"{area.prefix}.{name}" in counted
    assert sum(counted.values()) == expected > 150


def test_every_name_in_the_reference_has_a_text():
    api = extension("api_pages")
    for area in api.AREAS:
        for name in api.exported(area.source):
            thing = api.resolve(area.prefix, name)
            if inspect.isroutine(thing) or inspect.isclass(thing):
                assert inspect.getdoc(thing), f"{area.prefix}.{name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|a| / |b| of `x_` and *c", r"\|a\| / \|b\| of ``x_`` and \*c"),
        ("plural `k`s", r"plural ``k``\ s"),
    ],
)
def test_docstrings_become_text_not_markup(text: str, expected: str):
    assert extension("house_docstrings").inline(text) == expected


def test_sections_of_docstrings_become_lists():
    convert = extension("house_docstrings").convert
    made = convert(["Sum.", "", "Args:", "    a, b: two", "        numbers.", "    c: one.", "", "Raises: `X` if not."])
    assert (
        " ".join("\n".join(made).split())
        == "Sum. **Args** ``a``, ``b`` two numbers. ``c`` one. **Raises**: ``X`` if not."
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stripped_and_sized_by_one_variable(path: Path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert "".join(code[0]["source"]).startswith("QUICK = True\n")
    assert re.match(r"\d\d_", path.name)


def test_there_are_seven_notebooks_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n:02d}" for n in range(1, 8)]
