from __future__ import annotations

from typing import Any

import datasets
import pytest

from iclmech._base import TaskError
from iclmech.tasks import Task, load_task

NAMES = datasets.ClassLabel(names=["objective", "subjective"])


def dataset(labels: list[int], text: str = "text") -> Any:
    features = datasets.Features({text: datasets.Value("string"), "label": NAMES})
    return datasets.Dataset.from_list([{text: f"t{i}", "label": y} for i, y in enumerate(labels)], features=features)


def test_class_names_are_used() -> None:
    both = datasets.DatasetDict({"train": dataset([1, 0]), "test": dataset([0])})
    task = Task.from_dataset(both, template="{text} Type:")
    assert (task.label_words, [e.label for e in task.train]) == (["objective", "subjective"], [1, 0])
    task = Task.from_dataset(both, template="{text} Type:", label_words={"subjective": "S", "objective": "O"})
    assert [task.answer(e) for e in task.train] == ["S", "O"]
    assert load_task("subj", data=both).label_words == ["objective", "subjective"]


def test_two_datasets_and_renamed_columns() -> None:
    task = Task.from_dataset(dataset([0, 1], "content"), dataset([1], "content"), columns={"content": "text"})
    assert [e.text for e in task.train] == ["t0", "t1"]


def test_an_unlabelled_test_split_gives_way_to_validation() -> None:
    three = datasets.DatasetDict({"train": dataset([0, 1]), "validation": dataset([1]), "test": dataset([-1, -1])})
    assert [e.label for e in Task.from_dataset(three).test] == [1]
    del three["validation"]
    with pytest.raises(TaskError, match="expected a labelled 'test' or 'validation'"):
        Task.from_dataset(three)


def test_a_bad_row_is_named() -> None:
    both = datasets.DatasetDict({"train": dataset([0, -1]), "test": dataset([0])})
    with pytest.raises(TaskError, match=r"dataset\['train'\], row 1: label -1 marks an unlabelled record"):
        Task.from_dataset(both, label_words=["objective", "subjective"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"text": "a"}], "got list; expected a datasets.Dataset"),
        ({"test": dataset([0])}, r"got the splits \['test'\]; expected 'train'"),
        (dataset([0]), "expected a second one for the test split"),
    ],
)
def test_not_a_data_set(given: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Task.from_dataset(given)
