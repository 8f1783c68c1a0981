from __future__ import annotations

import difflib
import subprocess
import sys
from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.mini import MINI_TASKS
from iclmech.tasks import PRESETS, SOURCES, Task, TaskCard, TaskSource, list_tasks, load_task, task_table


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A source of another package, with what `load_task` handed to it."""
    calls: list[Any] = []

    def load(name: str, data: Any = None, /, *, test: Any = None, columns: Any = None, **options: Any) -> Task:
        calls.append((name, data, test, columns, options))
        own = {"label_words": ["odd", "even"], "name": name, "description": "Parity."}
        return Task.from_records([{"text": "1", "label": 0}], [{"text": "2", "label": 1}], **{**own, **options})

    monkeypatch.setitem(SOURCES, "echo", TaskSource("echo", names=lambda: ["echo/parity"], load=load, needs="patience"))
    return calls


def test_another_package_adds_a_source(echo: list[Any]) -> None:
    assert list_tasks()[-1] == "echo/parity"
    assert load_task("echo/parity").label_words == ["odd", "even"]
    task = load_task("echo/parity", "here", test=0.5, columns={"a": "text"}, name="mine", separator=";")
    assert (task.name, task.separator) == ("mine", ";")
    assert echo[1] == ("echo/parity", "here", 0.5, {"a": "text"}, {"name": "mine", "separator": ";"})
    with pytest.raises(TaskError, match=r"got 'echo/party'.* Did you mean 'echo/parity'\?$"):
        load_task("echo/party")
    row = task_table().loc["echo/parity"]
    assert row.tolist() == ["echo", "Parity.", "odd, even", "patience"]


def test_the_table_names_every_task_once_in_the_order_of_the_list() -> None:
    table = task_table()
    assert table.index.tolist() == list_tasks()
    assert table.columns.tolist() == ["source", "what", "label words", "needs"]
    assert table.groupby("source").size()["published"] == len(PRESETS)
    assert table.loc["mini/sentiment", "label words"] == "negative, positive"
    assert table.loc["sst5", "label words"] == "terrible, bad, neutral, good, great"
    assert table.loc["words/plural", "label words"] == "free text"
    assert set(table["needs"][table["source"] != "published"]) == {"nothing"}
    assert table["what"].str.len().min() > 10
    assert table.loc["mini/topic", "what"] == MINI_TASKS["mini/topic"].description


def test_a_listing_loads_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Task:
        raise AssertionError("records were loaded")

    monkeypatch.setattr(Task, "from_records", load)
    assert len(task_table()) == len(list_tasks())


def test_a_card_is_asked_instead_of_the_data() -> None:
    def load(*_: Any, **__: Any) -> Task:
        raise AssertionError("no data here")

    source = TaskSource("x", lambda: ["x/y"], load, card=lambda name: TaskCard(f"about {name}", []))
    assert source.describe("x/y") == ("about x/y", [])


def test_a_listing_needs_no_torch() -> None:
    code = (
        "import sys; from iclmech.tasks import list_tasks, task_table; task_table(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["mini/topc", "words/captial-cities", "agnew", "opposites", "trek"])
def test_a_slip_of_the_pen_is_answered_with_the_nearest_name(name: str) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(name)
    message = str(caught.value)
    ratios = {
        known: difflib.SequenceMatcher(None, name.split("/")[-1], known.split("/")[-1]).ratio()
        for known in list_tasks()
    }
    assert f"Did you mean {max(ratios, key=ratios.__getitem__)!r}" in message
    assert len(message) < 250
