from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import Example, Task


def test_from_records(task: Task) -> None:
    assert (task.name, task.kind, task.fields) == ("toy", "classification", ("text",))
    assert task.label_words == ["negative", "positive"]
    assert task.train[1] == Example({"text": "a plot number 1"}, 1)
    assert task.render(task.train[1]) == "Review: a plot number 1\nSentiment:"
    assert task.answer(task.train[1]) == "positive"


def test_the_hash_knows_content_and_only_content(task: Task) -> None:
    assert replace(task, name="other", description="x").hash == task.hash
    changed = [
        replace(task, template="R: {text}\nSentiment:"),
        replace(task, label_words=["positive", "negative"]),
        replace(task, separator=";"),
        replace(task, train=task.train[::-1]),
        replace(task, test=task.test[1:]),
        replace(task, label_pool=["a", "b"]),
    ]
    assert len({task.hash, *(t.hash for t in changed)}) == 7


def test_an_episode_redraws_label_words_or_nothing(task: Task) -> None:
    assert task.episode(3) is task
    pool = ["dax", "wug", "blick", "fep", "zup"]
    redrawing = replace(task, label_pool=pool)
    episodes = [redrawing.episode(seed) for seed in range(30)]
    assert {word for e in episodes for word in e.label_words} == set(pool)
    assert all(len(set(e.label_words)) == 2 for e in episodes)
    assert redrawing.episode(5) == redrawing.episode(5)
    assert redrawing.label_words == ["negative", "positive"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_words": ["only"]}, "the one label word 'only'"),
        ({"label_words": ["a", "a"]}, r"\['a'\] more than once"),
        ({"label_words": [" a", "b"]}, "white space around it.*Write 'a'"),
        ({"label_words": ["", "b"]}, "expected non-empty text"),
        ({"label_pool": ["a"]}, "from a pool of 1"),
        ({"train": [Example({"text": "x"}, 2)]}, "train example 0 has the label 2"),
        ({"test": [Example({"text": "x"}, None)]}, "test example 0 has the label None"),
        ({"label_words": []}, "give label_words or targets"),
        ({"template": "none"}, "has no field"),
    ],
)
def test_a_task_checks_itself(task: Task, change: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        replace(task, **change)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "expected exactly one of the two"),
        ({"label_words": ["a", "b"], "target_field": "x"}, "expected exactly one of the two"),
        ({"label_words": "negative"}, "is the text 'negative'; expected a list"),
        ({"label_words": ["a", "a"]}, "more than once"),
        ({"label_words": {"x": "a ", "y": "b"}}, "white space around it"),
    ],
)
def test_bad_label_words(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Task.from_records([{"text": "x", "label": 0}], [{"text": "y", "label": 1}], **kwargs)


def test_reprs(task: Task) -> None:
    assert repr(task).startswith("Task('toy', train=40, test=30, template='Review: {text}")
    assert "label_pool of 2" in repr(replace(task, label_pool=["a", "b"]))
    nasty = replace(task, train=[Example({"text": "<script>alert('x')</script>"}, 0)], description="<b>")
    html = nasty._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
