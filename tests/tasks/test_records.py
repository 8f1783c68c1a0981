from __future__ import annotations

from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import Task

GOOD = {"text": "fine", "label": 1}


def build(*train: Any, **kwargs: Any) -> Task:
    options = {"label_words": ["negative", "positive"], **kwargs}
    return Task.from_records(list(train), [GOOD], template="{text}:", **options)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"label": 1}, r"train, record 1: the field 'text' is missing; got \['label'\]"),
        ({"text": "", "label": 1}, "train, record 1: the field 'text' is empty"),
        ({"text": " \n", "label": 1}, "the field 'text' is empty"),
        ({"text": 3, "label": 1}, "'text' is 3, of type int; expected text"),
        ({"text": None, "label": 1}, "of type NoneType"),
        ({"text": "a\ud800", "label": 1}, "lone surrogate at character 1"),
        ({"text": "x"}, r"no label; got fields \['text'\]"),
        ({"text": "x", "label": 2}, r"unknown label 2; expected 0\.\.1"),
        ({"text": "x", "label": -1}, "unlabelled"),
        ({"text": "x", "label": -2}, "unknown label -2"),
        ({"text": "x", "label": True}, "of type bool"),
        ({"text": "x", "label": 1.0}, "of type float"),
        ({"text": "x", "label": "so-so"}, "unknown label 'so-so'; expected one of"),
        ({"text": "x", "label": "1"}, "unknown label '1'"),
        ({"text": "x", "label": 0, "label_name": 7}, "unknown label 7"),
        ("x", "got 'x', a str; expected a record"),
        (None, "expected a record"),
    ],
)
def test_a_bad_record_is_named(bad: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build(GOOD, bad)


def test_no_records() -> None:
    with pytest.raises(TaskError, match="train: no records"):
        build()


def test_names_decide_not_numbers() -> None:
    # the numbers of this release run against the order of the label words
    task = build(
        {"text": "a", "label": 0, "label_name": "positive"},
        {"text": "b", "label": 1, "label_name": "Negative "},
        {"text": "c", "label": 0},
        {"text": "d", "label": "negative"},
    )
    assert [e.label for e in task.train] == [1, 0, 1, 0]


def test_names_without_a_word_are_an_error_not_a_guess() -> None:
    with pytest.raises(TaskError, match=r"unknown label 'contradiction'.*say which word each name means"):
        build({"text": "a", "label": 0, "label_name": "contradiction"}, label_words=["True", "False", "Neither"])


def test_label_names_give_each_word_its_name() -> None:
    records = [{"text": "a", "label": 0, "label_name": "neg"}, {"text": "b", "label": 1, "label_name": "pos"}]
    task = build(*records, label_words=["good", "bad"], label_names=["pos", "neg"])
    assert [e.label for e in task.train] == [1, 0]
    assert task.label_names == ["pos", "neg"]


def test_a_mapping_gives_each_name_its_word_and_needs_names() -> None:
    words = {"pos": "good", "neg": "bad", "negative": "bad"}
    task = Task.from_records(
        [{"text": "a", "label": "negative"}, {"text": "b", "label": "pos"}],
        [{"text": "c", "label": "neg"}],
        "{text}:",
        words,
    )
    assert (task.label_words, [e.label for e in task.train]) == (["good", "bad"], [1, 0])
    with pytest.raises(TaskError, match=r"only the number 1 .*label_names=\[name of 0"):
        build(GOOD, label_words=words)
    numbered = Task.from_records([GOOD], [{"text": "c", "label": 0}], "{text}:", words, label_names=["neg", "pos"])
    assert (numbered.train[0].label, numbered.test[0].label) == (0, 1)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"text": "b", "label": 0, "label_name": "positive"},
            "label 0 is called 'positive' here and 'negative' in train, record 0",
        ),
        (
            {"text": "b", "label": 1, "label_name": "negative"},
            "'negative' has the label 1 here and 0 in train, record 0",
        ),
    ],
)
def test_numbers_and_names_that_disagree(second: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build({"text": "a", "label": 0, "label_name": "negative"}, second)


def test_disagreement_between_splits() -> None:
    train = [{"text": "a", "label": 0, "label_name": "negative"}]
    with pytest.raises(TaskError, match="test, record 0: label 0 is called 'positive' here"):
        Task.from_records(
            train, [{"text": "b", "label": 0, "label_name": "positive"}], "{text}:", ["negative", "positive"]
        )


def test_a_number_read_by_position_and_then_named_otherwise() -> None:
    with pytest.raises(TaskError, match="by position"):
        build({"text": "a", "label": 0}, {"text": "b", "label": 0, "label_name": "positive"})


def test_label_names_must_match_the_words() -> None:
    with pytest.raises(TaskError, match="got 3 label_names"):
        build(GOOD, label_names=["a", "b", "c"])
    with pytest.raises(TaskError, match="label_names has 'c', which has no label word"):
        build(GOOD, label_words={"a": "A", "b": "B"}, label_names=["a", "c"])


def test_free_text_targets() -> None:
    records = [{"question": "2+2?", "answer": " 4 "}]
    task = Task.from_records(records, records, "Q: {question}\nA:", target_field="answer")
    assert (task.kind, task.train[0].label, task.answer(task.train[0]), task.label_words) == (
        "free text",
        None,
        "4",
        [],
    )
    with pytest.raises(TaskError, match="the field 'answer' is empty"):
        Task.from_records([{"question": "2+2?", "answer": ""}], records, "Q: {question}\nA:", target_field="answer")
