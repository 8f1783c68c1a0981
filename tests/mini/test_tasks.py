"""The evaluation tasks."""

from __future__ import annotations

import pytest

from iclmech._base import TaskError
from iclmech.mini import MINI_TASKS, _lexicon as lex, mini_task_spec


@pytest.mark.parametrize("name", MINI_TASKS)
def test_records_are_balanced_unique_and_apart(name: str) -> None:
    spec = mini_task_spec(name)
    train, test = [row["text"] for row in spec.train], [row["text"] for row in spec.test]
    assert not set(train) & set(test)
    assert len(set(train)) == len(train)
    shares = [sum(row["label"] == label for row in spec.test) / len(test) for label in spec.label_names]
    assert max(shares) - min(shares) < 0.1
    assert len(spec.label_words) == len(spec.label_names) == len(set(spec.label_words))
    assert "{text}" in spec.template


def test_the_main_task_is_large_and_natural() -> None:
    spec = mini_task_spec("mini/sentiment")
    assert len(spec.train) >= 1000
    assert len(spec.test) >= 512
    assert spec.label_words == ["negative", "positive"]
    assert spec.template == "Review: {text}\nSentiment:"
    ambiguous = sum(row["latent"] == "ambiguous" for row in spec.test) / len(spec.test)
    assert 0.4 < ambiguous < 0.6


def test_slang_has_one_meaning_in_train_and_test() -> None:
    spec = mini_task_spec("mini/sentiment")
    meaning: dict[str, set[str]] = {}
    for row in (*spec.train, *spec.test):
        for word in set(row["text"].split()) & set(lex.AMBIGUOUS):
            meaning.setdefault(word, set()).add(row["label"])
    assert len(meaning) == 12
    assert all(len(labels) == 1 for labels in meaning.values())


@pytest.mark.parametrize("name", [name for name, info in MINI_TASKS.items() if info.held_out])
def test_held_out_tasks_draw_held_label_words_anew(name: str) -> None:
    spec = mini_task_spec(name)
    assert spec.held_out
    assert spec.episode is not None
    drawn = [tuple(spec.episode(seed)) for seed in range(20)]
    assert all(set(words) <= set(lex.HELD_SYMBOLS) for words in drawn)
    assert spec.episode(4) == spec.episode(4)
    assert len(set(drawn)) > 10


def test_flipped_labels_are_the_natural_ones_exchanged() -> None:
    assert mini_task_spec("mini/sentiment-flipped").label_words == mini_task_spec("mini/sentiment").label_words[::-1]


def test_unknown_task() -> None:
    with pytest.raises(TaskError, match="mini/sentiment"):
        mini_task_spec("mini/nothing")
