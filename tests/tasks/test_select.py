from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from iclmech._base import ICLMechWarning, PromptError
from iclmech.tasks import Example, Query, Task, build_prompts, load_task
from iclmech.tasks._select import Selection, select

from .test_prompts import quiet


def draw(
    labels: list[int | None], k: int, seed: int = 0, selection: Selection = "random", bad: set[int] | None = None
) -> list[int]:
    return select(labels, k, np.random.default_rng(seed), selection, lambda row: row not in (bad or set()))


def test_random_rows_are_nested_distinct_and_usable() -> None:
    labels: list[int | None] = [i % 2 for i in range(50)]
    rows = draw(labels, 20, bad={1, 2, 3})
    assert len(set(rows)) == 20
    assert not {1, 2, 3} & set(rows)
    assert draw(labels, 8, bad={1, 2, 3}) == rows[:8]
    assert draw(labels, 20, seed=1) != rows
    assert sorted(draw(labels, 99)) == list(range(50))


def test_every_row_is_as_likely() -> None:
    counts = Counter(row for seed in range(2000) for row in draw([None] * 10, 3, seed))
    assert min(counts.values()) > 500  # 600 expected, standard deviation 20
    assert max(counts.values()) < 700


def test_balanced_beginnings() -> None:
    labels: list[int | None] = [0] * 30 + [1] * 30 + [2] * 4
    rows = draw(labels, 30, selection="balanced", bad={0, 60})
    assert len(set(rows)) == 30
    for n in range(1, 10):
        counts = Counter(labels[row] for row in rows[:n])
        assert max(counts.values()) - min(counts.get(c, 0) for c in (0, 1, 2)) <= 1
    assert Counter(labels[row] for row in rows)[2] == 3  # the class that ran out is passed over


class Nearest:
    """Training texts by the number in them, the nearest last, as retrieval would give them."""

    name = "nearest"

    def __init__(self) -> None:
        self.asked: list[tuple[Query, int, int]] = []

    def choose(self, train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        self.asked.append((query, k, seed))
        return by_distance(train, query.text)[:k][::-1]


def number(text: str) -> int:
    return int(text.split()[-1])


def by_distance(train: Sequence[Example], text: str) -> list[int]:
    return sorted(range(len(train)), key=lambda row: (abs(number(train[row].text) - number(text)), row))


def near(n: int, start: int = 0, words: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"{'word ' * words}number {i}", "label": i % 2} for i in range(start, start + n)]


@pytest.fixture
def numbers() -> Task:
    return Task.from_records(near(40), near(12, start=14), "N: {text}\nL:", ["negative", "positive"], "numbers")


def test_a_selector_gives_every_query_a_context_of_its_own(bpe: Any, numbers: Task) -> None:
    selector = Nearest()
    prompts = build_prompts(bpe, numbers, k=3, n_queries=8, seed=7, selection=selector)
    assert [q.context for q in prompts.queries] == list(range(8))
    assert len(prompts.contexts) == 8
    for query in prompts.queries:
        context = prompts.contexts[query.context]
        expected = by_distance(numbers.train, query.text)[:3][::-1]
        assert [d.index for d in context.demonstrations] == expected
        assert number(context.demonstrations[-1].text) == number(query.text)
        assert bpe.decode(context.tokens[1:]) == "".join(
            f"N: {numbers.train[row].text}\nL: {numbers.answer(numbers.train[row])}\n" for row in expected
        )
    random = build_prompts(bpe, numbers, k=3, n_queries=8, seed=7)
    assert [replace(q, context=0) for q in prompts.queries] == random.queries
    assert prompts.meta["selection"] == "nearest"
    assert json.dumps(prompts.meta)
    assert (prompts.k, prompts.k_requested, prompts.meta["notes"]) == (3, 3, [])
    assert prompts == build_prompts(bpe, numbers, k=3, n_queries=8, seed=7, selection=Nearest())


def test_a_selector_sees_the_query_but_not_its_answer(bpe: Any, numbers: Task) -> None:
    selector = Nearest()
    prompts = build_prompts(bpe, numbers, k=3, n_queries=4, seed=7, selection=selector)
    assert [(k, seed) for _, k, seed in selector.asked] == [(3, 7)] * 4
    for (seen, _, _), query in zip(selector.asked, prompts.queries, strict=True):
        assert seen == replace(query, label=None, target_tokens=None)
        assert query.label is not None


def test_a_function_is_a_selector(bpe: Any, numbers: Task) -> None:
    def first(train: Sequence[Example], query: Query, k: int, seed: int) -> Sequence[int]:
        return list(np.arange(k))

    prompts = build_prompts(bpe, numbers, k=2, n_queries=3, selection=first)
    assert [[d.index for d in c.demonstrations] for c in prompts.contexts] == [[0, 1]] * 3
    assert prompts.meta["selection"] == "first"
    assert all(type(d.index) is int for c in prompts.contexts for d in c.demonstrations)


def test_free_text_and_redrawn_label_words_under_a_selector(bpe: Any, numbers: Task) -> None:
    def last_rows(train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        return [len(train) - 1 - i for i in range(k)]

    words = load_task("words/plural")
    prompts = build_prompts(bpe, words, k=2, n_queries=3, selection=last_rows)
    assert all(d.label_word == words.answer(words.train[d.index]) for c in prompts.contexts for d in c.demonstrations)
    pool = replace(numbers, label_pool=["dax", "wug", "blick", "fep"])
    redrawn = quiet(bpe, pool, k=2, n_queries=6, selection=Nearest())
    assert len({tuple(c.label_words) for c in redrawn.contexts}) > 1
    for query in redrawn.queries:
        assert query.label is not None
        assert query.target_tokens == redrawn.contexts[query.context].label_tokens[query.label]
    assert len(redrawn.meta["episode_seeds"]) == 6


def test_a_query_out_of_the_training_examples_is_never_its_own_demonstration(bpe: Any, numbers: Task) -> None:
    prompts = build_prompts(bpe, numbers, k=3, n_queries=10, selection=Nearest(), queries_from="train")
    for query in prompts.queries:
        rows = [d.index for d in prompts.contexts[query.context].demonstrations]
        assert rows == by_distance(numbers.train, query.text)[1:4][::-1]


def test_rows_that_are_too_long_are_replaced_by_the_next(bpe: Any, numbers: Task) -> None:
    train = [
        replace(e, fields={"text": "word " * 90 + e.text}) if i % 3 == 0 else e for i, e in enumerate(numbers.train)
    ]
    uneven = replace(numbers, train=train)
    with pytest.warns(ICLMechWarning, match="demonstrations were dropped as too long"):
        prompts = build_prompts(bpe, uneven, k=3, n_queries=5, selection=Nearest(), n_ctx=200)
    assert prompts.dropped["demonstrations"] > 0
    for query in prompts.queries:
        rows = [row for row in by_distance(train, query.text) if row % 3]
        assert [d.index for d in prompts.contexts[query.context].demonstrations] == rows[:3][::-1]


def test_where_the_window_takes_fewer_the_selector_is_asked_for_fewer(bpe: Any, numbers: Task) -> None:
    selector = Nearest()
    with pytest.warns(ICLMechWarning, match=r"of the 12 demonstrations asked for remain"):
        prompts = build_prompts(bpe, numbers, k=12, n_queries=5, selection=selector, n_ctx=120)
    assert 0 < prompts.k < 12
    longest = max(len(q.tokens) for q in prompts.queries) + max(map(len, prompts.contexts[0].label_tokens)) + 1
    assert max(len(c.tokens) for c in prompts.contexts) + longest <= 120
    for query in prompts.queries:  # the nearest remain, not the ones that happened to stand first
        expected = by_distance(numbers.train, query.text)[: prompts.k][::-1]
        assert [d.index for d in prompts.contexts[query.context].demonstrations] == expected


def test_a_selector_that_gives_fewer_sets_the_number_for_all(bpe: Any, numbers: Task) -> None:
    def same_parity(train: Sequence[Example], query: Query, k: int, seed: int) -> list[int]:
        return list(range(k if number(query.text) % 2 else min(k, 2)))

    with pytest.warns(ICLMechWarning, match=r"2 of the 4 demonstrations asked for remain.*the selection gave no more"):
        prompts = build_prompts(bpe, numbers, k=4, n_queries=6, selection=same_parity)
    assert prompts.k == 2
    assert {len(c.demonstrations) for c in prompts.contexts} == {2}


@pytest.mark.parametrize("rows", [[0, 0], [40], [-1], [0.5], [], [0, 1, 2]])
def test_bad_rows_are_refused_by_the_name_of_the_selection(bpe: Any, numbers: Task, rows: list[Any]) -> None:
    def mine(train: Sequence[Example], query: Query, k: int, seed: int) -> list[Any]:
        return rows

    with pytest.raises(
        PromptError, match=r"the selection 'mine' gave the rows \[.*expected 1 to 2 different row numbers from 0 to 39"
    ):
        build_prompts(bpe, numbers, k=2, n_queries=2, selection=mine)


def test_what_a_selector_cannot_have(bpe: Any, numbers: Task) -> None:
    with pytest.raises(PromptError, match=r"got n_contexts=2 with the selection 'nearest'.*leave n_contexts out"):
        build_prompts(bpe, numbers, k=2, n_queries=4, n_contexts=2, selection=Nearest())
    nothing = build_prompts(bpe, numbers, k=0, n_queries=4, selection=Nearest())
    assert [c.demonstrations for c in nothing.contexts] == [[]] * 4
