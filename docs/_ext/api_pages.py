"""The API reference: one page for each public module, with every public name exactly once.

A name is public where a package says so: by the explicit re-export `from ._x import y as y`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import sys
import textwrap
import typing
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2] / "iclmech"


class Area(NamedTuple):
    """A page: its file, its title, the name that users type, the file that says what is public, and a first sentence."""

    slug: str
    title: str
    prefix: str
    source: str
    intro: str


AREAS = (
    Area("top", "iclmech: the names you use first", "iclmech", "__init__.py", "With `import iclmech as icl`, all of this is `icl.…`."),
    Area("metrics", "iclmech.metrics", "iclmech.metrics", "analysis/metrics.py", "Pure functions from activations to numbers."),
    Area("statistics", "iclmech.statistics", "iclmech.statistics", "analysis/statistics.py", "Intervals and paired contrasts."),
    Area("calibration", "iclmech.calibration", "iclmech.calibration", "calibration/__init__.py", "Priors over label words, predictions with them taken out, self-ensembles."),
    Area("context-tuning", "iclmech.context_tuning", "iclmech.context_tuning", "context_tuning.py", "Demonstrations whose embeddings are refined by gradient descent."),
    Area("selection", "iclmech.selection", "iclmech.selection", "selection/__init__.py", "Which demonstrations stand before a query."),
    Area("circuit", "iclmech.circuit", "iclmech.circuit", "analysis/circuit.py", "Attention by role, induction, decomposition, the dual form."),
    Area("interventions", "iclmech.interventions", "iclmech.interventions", "interventions/__init__.py", "Changes to a forward pass."),
    Area("figures", "iclmech.figures", "iclmech.figures", "figures/__init__.py", "A result in, a plotly figure out."),
    Area("experiments", "iclmech.experiments", "iclmech.experiments", "experiments/__init__.py", "Protocols and their results, besides those at the top."),
    Area("models", "iclmech.models", "iclmech.models", "models/__init__.py", "What stands behind `ICLModel`."),
    Area("tasks", "iclmech.tasks", "iclmech.tasks", "tasks/__init__.py", "The parts of prompts, presets, examples."),
    Area("captures", "iclmech.captures", "iclmech.captures", "captures/__init__.py", "The core below `capture`."),
    Area("updates", "iclmech.updates", "iclmech.updates", "updates/__init__.py", "The parts of weight updates."),
    Area("analysis", "iclmech.analysis", "iclmech.analysis", "analysis/__init__.py", "What metrics, statistics and circuit share."),
    Area("report", "iclmech.report", "iclmech.report", "report/__init__.py", "The HTML page."),
    Area("functions", "iclmech.functions", "iclmech.functions", "functions/__init__.py", "Families of functions, their exact posteriors, linear attention."),
    Area("predictors", "iclmech.functions.predictors", "iclmech.functions.predictors", "functions/predictors/__init__.py", "What an algorithm answers behind every prefix."),
    Area("dynamics", "iclmech.dynamics", "iclmech.dynamics", "dynamics/__init__.py", "How in-context learning forms: worlds, stacks of small nets, clamps, snapshots."),
    Area("papers", "iclmech.papers", "iclmech.papers", "papers/__init__.py", "What papers claim, and what becomes of it here."),
    Area("mini", "iclmech.mini", "iclmech.mini", "mini/__init__.py", "The world of icl-mini."),
    Area("training", "iclmech.training", "iclmech.training", "training/__init__.py", "Small nets and the one trainer."),
    Area("mini-training", "iclmech.experiments.mini", "iclmech.experiments.mini", "experiments/mini/__init__.py", "Training and measuring models of icl-mini's kind."),
)  # fmt: skip


FIRST = (
    *("load_model", "list_models", "ICLModel", "load_task", "list_tasks", "Task", "build_prompts", "PromptSet"),
    *("capture", "Activations", "gradient_descent", "layer_causal_gd", "WeightUpdate", "compare", "Comparison"),
    *("inference_circuit", "Circuit", "order_sensitivity", "OrderSensitivity", "induction_heads", "dual_form"),
)
"""The order of the first page; what is not here follows."""


def exported(source: str) -> list[str]:
    """Names that a file re-exports explicitly, in its order; of a module that re-exports none, its functions and classes."""
    path = ROOT / source
    stub = path.with_suffix(".pyi")
    path = stub if stub.is_file() else path
    if not path.is_file():
        return []
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names += [a.name for a in node.names if a.asname == a.name and a.name not in names]
    if not names:
        kinds = (ast.FunctionDef, ast.ClassDef)
        names = [
            n.name
            for n in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(n, kinds) and n.name[0] != "_"
        ]
    rank = {name: n for n, name in enumerate(FIRST)} if source == "__init__.py" else {}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def resolve(prefix: str, name: str) -> Any:
    """The object behind a public name: of a module, or of one that only the top knows by a short name (icl.metrics)."""
    try:
        parent: Any = importlib.import_module(prefix)
    except ModuleNotFoundError:
        parent = getattr(importlib.import_module("iclmech"), prefix.rpartition(".")[2])
    return getattr(parent, name)


def listing() -> dict[str, list[str]]:
    """Page → public names on it; each object on the first page that has it, modules nowhere."""
    seen: set[tuple[str, int]] = set()
    pages: dict[str, list[str]] = {}
    for area in AREAS:
        pages[area.slug] = []
        for name in exported(area.source):
            thing = resolve(area.prefix, name)
            if isinstance(thing, ModuleType) or (name, id(thing)) in seen:
                continue
            seen.add((name, id(thing)))
            pages[area.slug].append(name)
    return pages


def write(target: Path) -> None:
    """Write the pages; a page without names is left out."""
    target.mkdir(parents=True, exist_ok=True)
    pages = {slug: names for slug, names in listing().items() if names}
    for area in AREAS:
        path = target / f"{area.slug}.rst"
        if area.slug not in pages:
            path.unlink(missing_ok=True)
            continue
        intro = area.intro.replace("`", "``")
        parts = [area.title, "=" * len(area.title), "", intro, "", *(_entry(area.prefix, n) for n in pages[area.slug])]
        _write_if_new(path, "\n".join(parts) + "\n")
    tree = ".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {slug}\n" for slug in pages)
    _write_if_new(target / "index.rst", f"Module by module\n================\n\n{tree}")


def _write_if_new(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _entry(prefix: str, name: str) -> str:
    thing, full = resolve(prefix, name), f"{prefix}.{name}"
    if inspect.isclass(thing) and not hasattr(thing, "__origin__"):
        return f".. autoclass:: {full}\n   :members:\n"
    if inspect.isroutine(thing):
        return f".. autofunction:: {full}\n"
    value = _shown(thing)
    lines = [f".. py:data:: {full}", *([f"   :value: {value}"] if value else []), ""]
    from house_docstrings import convert

    return "\n".join([*lines, *textwrap.indent("\n".join(convert(_comment(prefix, name))), "   ").splitlines(), ""])


def _shown(thing: Any) -> str:
    text = repr(thing).replace("typing.", "").replace("collections.abc.", "")
    return text if isinstance(thing, str | int | float | tuple) and len(text) <= 300 else ""


def _comment(prefix: str, name: str) -> list[str]:
    """The string that follows the assignment of a constant, in whichever file of the package that is."""
    thing = resolve(prefix, name)
    package = prefix.removeprefix("iclmech").strip(".").split(".")[0]
    folders = [
        ROOT / {"metrics": "analysis", "statistics": "analysis", "circuit": "analysis"}.get(package, package),
        ROOT / "_base",
        ROOT,
    ]
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            for node, after in itertools.pairwise(body):
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                if isinstance(target, ast.Name) and target.id == name and (text := _text_of(after)):
                    return inspect.cleandoc(text).splitlines()
    if isinstance(thing, Mapping):
        return ["A mapping with the keys " + ", ".join(f"`{key}`" for key in thing) + "."]
    kind = "One of " + ", ".join(map(repr, typing.get_args(thing))) if _is_literal(thing) else "A type."
    return [kind if _is_literal(thing) or not _is_value(thing) else ""]


def _text_of(node: ast.stmt) -> str | None:
    """The string that a statement consists of."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _is_literal(thing: Any) -> bool:
    return typing.get_origin(thing) is typing.Literal


def _is_value(thing: Any) -> bool:
    return isinstance(thing, str | int | float | tuple | dict)


if __name__ == "__main__":
    for page, names in listing().items():
        sys.stdout.write(f"{page}: {', '.join(names)}\n")
