"""The main names show how they are used."""

from __future__ import annotations

import doctest

import iclmech.tasks


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
