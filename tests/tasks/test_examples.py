"""The examples in docstrings run as printed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import iclmech.tasks

MODULES = [f"iclmech.tasks.{module.name}" for module in pkgutil.iter_modules(iclmech.tasks.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_printed(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_main_names_have_examples() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    names = (
        "Task",
        "PromptSet",
        "Selector",
        "build_prompts",
        "load_task",
        "list_tasks",
        "task_table",
        "permuted_labels",
    )
    for name in names:
        thing = getattr(iclmech.tasks, name)
        assert any(test.examples for test in finder.find(thing, name)), name
