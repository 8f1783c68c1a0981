"""The floors: a module imports only from floors below its own, or from its own package; files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "iclmech"
FLOORS = {
    "_base": 1, "models": 2, "tasks": 2, "mini": 2, "interventions": 3, "analysis": 3, "captures": 4, "updates": 4,
    "training": 4, "vectors": 5, "calibration": 5, "context_tuning": 5, "selection": 5, "_accuracy": 5, "experiments": 6, "dynamics": 7,
    "functions": 7, "figures": 7, "report": 8, "sweeps": 8, "papers": 9, "_complaint": 9, "cli": 10, "_builtin": 10, "_moved": 0,
}  # fmt: skip
SAME_FLOOR = {("models", "mini"), ("tasks", "mini")}  # a shipped model and a shipped task are looked up by name


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def package(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST, path: Path) -> Iterator[str]:
    """Packages of iclmech that a module imports, relative imports resolved."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(path.relative_to(ROOT.parent).with_suffix("").parts)
            prefix = ".".join(base[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [prefix, node.module or ""]))
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "iclmech" and len(parts) > 1 and parts[1] in FLOORS:
                yield parts[1]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path):
    here = package(path)
    if here == "__init__":
        return
    assert here in FLOORS, f"{path} is in no room of the house"
    for there in imported(ast.parse(path.read_text()), path):
        if there != here and (here, there) not in SAME_FLOOR:
            assert FLOORS[there] < FLOORS[here], (
                f"{path.relative_to(ROOT)} ({FLOORS[here]}) imports {there} ({FLOORS[there]})"
            )


def lines_of(function: ast.FunctionDef) -> int:
    """Lines of code: without the signature and the docstring, which may be as long as they need to be."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_small_and_quiet(path: Path):
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert lines_of(node) <= 45, f"{node.name} does not fit a screen"
        assert not isinstance(node, ast.Assert), (
            f"line {getattr(node, 'lineno', 0)}: raise an error that says how to fix it"
        )
        assert not is_print(node), f"line {getattr(node, 'lineno', 0)}: the library does not print"


VAGUE = {
    *("_layout", "_plain", "_pass", "_place", "_parts", "_types", "_rows", "_fit", "_clock", "_gather", "_choose", "_sites"),
    *("_labels", "_roles", "_sequences", "_utils", "_helpers", "_misc"),
}  # fmt: skip


def test_modules_say_what_they_are():
    assert not [p for p in modules() if p.stem in VAGUE]


def test_every_registered_target_is_there():
    from iclmech._base import REGISTRIES, resolve
    from iclmech._builtin import BUILT_IN

    for kind, table in BUILT_IN.items():
        for name, target in table.items():
            assert REGISTRIES[kind][name] is resolve(target)
            assert getattr(REGISTRIES[kind][name], "name", name) == name
    for name in REGISTRIES["experiment"]:
        experiment = REGISTRIES["experiment"][name]
        for target in (experiment.protocol, experiment.result, experiment.figures, experiment.page):
            assert not isinstance(target, str) or not target or resolve(target) is not None
    for name in REGISTRIES["measure"]:
        record = REGISTRIES["measure"][name]
        assert all(callable(resolve(f)) for f in (record.function, record.along) if isinstance(f, str))
    for name in REGISTRIES["update"]:
        function = REGISTRIES["update"][name].function
        assert callable(resolve(function) if isinstance(function, str) else function)


def test_no_package_bears_the_name_of_a_public_function():
    import iclmech
    from iclmech import experiments

    for parent, names in ((ROOT, iclmech.__all__), (ROOT / "experiments", experiments.__all__)):
        functions = {name for name in names if callable(getattr(iclmech if parent == ROOT else experiments, name))}
        folders = {p.stem for p in parent.iterdir() if p.is_dir() or p.suffix == ".py"}
        assert not functions & folders


def needed(path: Path) -> set[Path]:
    """Modules of the same package that a module imports when it is imported or run, type checking apart."""
    tree = ast.parse(path.read_text())
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parent
            for _ in range(node.level - 1):
                base = base.parent
            for part in filter(None, (node.module or "").split(".")):
                base = base / part
            names = [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
            found |= {p for p in names if p.is_file() and p != path}
    return found


def test_there_are_no_circles():
    graph = {path: needed(path) for path in modules()}

    def reaches(start: Path) -> set[Path]:
        seen: set[Path] = set()
        todo = [start]
        while todo:
            for other in graph[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    circles = [str(path.relative_to(ROOT)) for path in graph if path in reaches(path)]
    assert not circles
