"""The examples in docstrings give what they say, in every module that shows some."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import iclmech

ROOT = Path(iclmech.__file__).parent
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_printed(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0, "the module shows examples that were not found"
    assert failed == 0
