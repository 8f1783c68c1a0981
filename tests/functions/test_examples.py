"""The examples in the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import iclmech

ROOT = Path(iclmech.__file__).parent
MODULES = [p for p in sorted((ROOT / "functions").rglob("*.py")) if ">>> " in p.read_text("utf-8")]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_examples_run_as_printed(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0, "the module shows examples that were not found"
    assert failed == 0
