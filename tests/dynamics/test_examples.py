"""The examples in docstrings give what they print."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import iclmech.dynamics

MODULES = sorted(p.stem for p in Path(iclmech.dynamics.__file__).parent.glob("_[a-z]*.py") if ">>> " in p.read_text())


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str):
    assert doctest.testmod(importlib.import_module(f"iclmech.dynamics.{name}")).failed == 0


def test_names_are_spread_apart_as_the_example_says():
    assert doctest.testmod(importlib.import_module("iclmech.figures._curves")).failed == 0
