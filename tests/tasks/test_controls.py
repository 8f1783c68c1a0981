from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from iclmech._base import ICLMechWarning, PromptError, np_rng
from iclmech.tasks import Demonstration, PromptSet, Task, build_prompts, load_task
from iclmech.tasks._word_tasks import word_pairs

from .conftest import records
from .test_prompts import covers, quiet, same_ids_in_context


@pytest.fixture(scope="module")
def prompts(bpe: Any, task: Task) -> PromptSet:
    return build_prompts(bpe, task, k=8, n_queries=6, n_contexts=2)


@pytest.fixture(scope="module")
def other(bpe: Any) -> PromptSet:
    task = Task.from_records(records(20), records(4), "Q: {text}\nA:", ["objective", "subjective"], "other")
    return build_prompts(bpe, task, k=8, n_queries=2)


def sound(prompts: PromptSet) -> None:
    """Spans cover every context, and updates see what the contexts hold."""
    for context in prompts.contexts:
        assert covers(context.spans, len(context.tokens))
        for demonstration in context.demonstrations:
            assert covers(demonstration.spans, len(demonstration.tokens))
            same_ids_in_context(demonstration.tokens, demonstration.context_start, context.tokens)


def key(demonstration: Demonstration) -> tuple[Any, ...]:
    return demonstration.index, demonstration.label, tuple(demonstration.tokens)


def test_reordered(prompts: PromptSet) -> None:
    made = prompts.reordered(3)
    sound(made)
    assert made.queries == prompts.queries
    for new, old in zip(made.contexts, prompts.contexts, strict=True):
        assert new.tokens != old.tokens
        assert len(new.tokens) == len(old.tokens)
        assert sorted(map(key, new.demonstrations)) == sorted(map(key, old.demonstrations))
    assert made == prompts.reordered(3) != prompts.reordered(4)
    assert made.meta["control"] == "reordered"


def test_shuffled_labels(bpe: Any, prompts: PromptSet) -> None:
    made = prompts.with_shuffled_labels(1)
    sound(made)
    assert made.queries == prompts.queries
    for new, old in zip(made.contexts, prompts.contexts, strict=True):
        pairs = list(zip(new.demonstrations, old.demonstrations, strict=True))
        assert all(n.text == o.text and n.tokens[: n.label_span[0]] == o.tokens[: o.label_span[0]] for n, o in pairs)
        assert [n.label for n, _ in pairs] != [o.label for _, o in pairs]
        assert Counter(n.label for n, _ in pairs) == Counter(o.label for _, o in pairs)
        for n, _ in pairs:
            assert n.label is not None
            assert n.label_word == old.label_words[n.label]
            assert bpe.decode(n.tokens[slice(*n.label_span)]) == " " + n.label_word


def test_a_single_class_cannot_be_shuffled(bpe: Any, task: Task) -> None:
    one = replace(task, train=[e for e in task.train if e.label == 0])
    prompts = build_prompts(bpe, one, k=4, n_queries=2)
    assert prompts.with_shuffled_labels(0).contexts == prompts.contexts


def test_shuffled_free_text(bpe: Any) -> None:
    rows = [{"q": f"what is {i}?", "a": "it is " + "so " * i} for i in range(6)]
    made = build_prompts(bpe, Task.from_records(rows, rows, "Q: {q}\nA:", target_field="a"), k=6, n_queries=1)
    shuffled = made.with_shuffled_labels(0)
    sound(shuffled)
    assert sorted(d.label_word for d in shuffled.demonstrations) == sorted(d.label_word for d in made.demonstrations)


def changed(new: Demonstration, old: Demonstration) -> bool:
    return new.label_word != old.label_word


def test_permuted_labels_move_whole_answers_and_keep_what_chance_would(bpe: Any, prompts: PromptSet) -> None:
    draws = prompts.with_permuted_labels(5, n=6)
    assert len({tuple(tuple(c.tokens) for c in made.contexts) for made in [*draws, prompts]}) == 7
    for i, made in enumerate(draws):
        sound(made)
        assert made.queries == prompts.queries
        assert (made.meta["control"], made.meta["control_seed"], made.meta["permutation"]) == ("permuted_labels", 5, i)
        for new, old, kept in zip(made.contexts, prompts.contexts, made.meta["share_kept"], strict=True):
            pairs = list(zip(new.demonstrations, old.demonstrations, strict=True))
            counts = Counter(o.label for _, o in pairs)
            assert Counter(n.label for n, _ in pairs) == counts
            assert kept == 1 - sum(changed(n, o) for n, o in pairs) / 8
            assert abs(kept * 8 - sum(count**2 for count in counts.values()) / 8) < 2
            for n, o in pairs:
                assert (n.text, n.tokens[: n.label_span[0]]) == (o.text, o.tokens[: o.label_span[0]])
                assert n.label is not None
                assert (
                    bpe.decode(n.tokens[slice(*n.label_span)]) == " " + old.label_words[n.label] == " " + n.label_word
                )


def test_permuted_labels_are_reproducible_nested_and_drawn_apart_in_each_context(bpe: Any, task: Task) -> None:
    prompts = build_prompts(bpe, task, k=8, n_queries=2, n_contexts=2)
    twins = replace(prompts, contexts=[prompts.contexts[0]] * 2)
    draws = twins.with_permuted_labels(1, n=4)
    assert draws == twins.with_permuted_labels(1, n=4)
    assert draws[:2] == twins.with_permuted_labels(1, n=2)
    assert draws != twins.with_permuted_labels(2, n=4)
    assert any(made.contexts[0] != made.contexts[1] for made in draws)
    with pytest.raises(PromptError, match=r"got n=0; expected 1 labelling or more"):
        twins.with_permuted_labels(n=0)


def test_the_sets_of_the_label_specific_similarity_have_no_labelling_in_common(prompts: PromptSet) -> None:
    plan = prompts.label_permutations(2, baseline=4, outside=2)
    assert [len(part) for part in plan] == [4, 4, 2]
    assert [*plan.context, *plan.update, *plan.outside] == prompts.with_permuted_labels(2, n=10)
    for c in range(2):
        assert len({tuple(made.contexts[c].tokens) for part in plan for made in part}) == 10


def test_shuffled_labels_stay_what_they_were(prompts: PromptSet) -> None:
    labels = [[d.label for d in c.demonstrations] for c in prompts.with_shuffled_labels(1).contexts]
    expected = []
    for c, context in enumerate(prompts.contexts):
        old = [d.label for d in context.demonstrations]
        generator = np_rng(1, f"shuffled labels {c}")
        while (new := [old[int(i)] for i in generator.permutation(len(old))]) == old:
            pass
        expected.append(new)
    assert labels == expected


@pytest.fixture(scope="module")
def words(bpe: Any) -> PromptSet:
    return build_prompts(bpe, load_task("words/opposite"), k=6, n_queries=6, n_contexts=2)


def test_controls_of_free_text(bpe: Any, words: PromptSet, prompts: PromptSet) -> None:
    right = word_pairs("words/opposite").train
    for made in (words.reordered(1), words.with_shuffled_labels(1), *words.with_permuted_labels(1, n=3)):
        sound(made)
        assert made.queries == words.queries
        assert made.contexts != words.contexts
        for new, old in zip(made.contexts, words.contexts, strict=True):
            assert len(new.tokens) == len(old.tokens)
            assert sorted(d.label_word for d in new.demonstrations) == sorted(d.label_word for d in old.demonstrations)
            for d in new.demonstrations:
                assert bpe.decode(d.tokens[slice(*d.label_span)]) == " " + d.label_word
                assert (d.label_word == right[d.text]) or made.meta["control"] != "reordered"
    for made in words.with_permuted_labels(1, n=3):
        assert made.meta["share_kept"] == [0.0, 0.0]
        assert all(d.label_word != right[d.text] for c in made.contexts for d in c.demonstrations)
    for one, other in ((words, prompts), (prompts, words)):
        made = one.with_demonstrations_of(other)
        sound(made)
        assert [key(d) for d in made.contexts[0].demonstrations] == [key(d) for d in other.contexts[0].demonstrations]
        assert (made.queries, made.contexts[0].label_words) == (one.queries, one.contexts[0].label_words)
        unrelated = one.with_unrelated_text(1, other)
        sound(unrelated)
        assert [len(c.tokens) for c in unrelated.contexts] == [len(c.tokens) for c in one.contexts]


def test_what_free_text_cannot_have_is_refused_by_name(bpe: Any, words: PromptSet) -> None:
    with pytest.raises(PromptError, match="A task with free-text answers has none to replace"):
        words.with_label_words(bpe, ["a", "b"])
    with pytest.raises(PromptError, match="has free-text answers, no classes to balance; use selection='random'"):
        build_prompts(bpe, load_task("words/opposite"), k=2, n_queries=1, selection="balanced")


def test_labels_of_queries(prompts: PromptSet, words: PromptSet, task: Task) -> None:
    assert prompts.labels == [task.test[q.index].label for q in prompts.queries]
    assert set(prompts.labels) == {0, 1}
    assert words.labels == [None] * 6


def test_demonstrations_of_another_task(bpe: Any, prompts: PromptSet, other: PromptSet) -> None:
    made = prompts.with_demonstrations_of(other)
    sound(made)
    assert made.queries == prompts.queries
    for new, old in zip(made.contexts, prompts.contexts, strict=True):
        assert (new.label_words, new.label_tokens) == (old.label_words, old.label_tokens)
        assert [key(d) for d in new.demonstrations] == [key(d) for d in other.demonstrations]
    assert made.token_strings.keys() >= set(made.contexts[0].tokens)
    with pytest.raises(PromptError, match="Build both with the same model"):
        prompts.with_demonstrations_of(replace(other, bos=other.bos + 1))
    with pytest.raises(PromptError, match="without contexts"):
        prompts.with_demonstrations_of(replace(other, contexts=[]))


def test_another_task_is_cut_to_the_window(bpe: Any, task: Task, other: PromptSet) -> None:
    small = quiet(bpe, task, k=8, n_queries=3, n_ctx=150)
    made = small.with_demonstrations_of(other)
    longest = max(len(q.tokens) for q in small.queries) + max(map(len, small.contexts[0].label_tokens))
    assert 0 < made.k < 8
    assert len(made.context_tokens) + longest + 1 <= 150


@pytest.mark.parametrize("own", [True, False])
def test_unrelated_text(prompts: PromptSet, other: PromptSet, own: bool) -> None:
    source = prompts if own else other
    made = prompts.with_unrelated_text(2, None if own else other)
    sound(made)
    assert made.queries == prompts.queries
    pool = {
        token
        for c in source.contexts
        for d in c.demonstrations
        for s in d.spans
        if s.role == "text"
        for token in d.tokens[s.start : s.stop]
    }
    for new, old in zip(made.contexts, prompts.contexts, strict=True):
        assert len(new.tokens) == len(old.tokens)
        assert set(new.tokens[1:]) <= pool
        assert (new.tokens[0], new.demonstrations, new.label_tokens) == (prompts.bos, [], old.label_tokens)
    if not own:  # whole texts of the other task, in order
        text = other.demonstrations[0].text
        assert text in "".join(made.token_strings[t] for t in made.contexts[0].tokens[1:])


def test_unrelated_text_needs_text(bpe: Any, task: Task, prompts: PromptSet) -> None:
    nothing = build_prompts(bpe, task, k=0, n_queries=2)
    assert nothing.with_unrelated_text(0).contexts == nothing.contexts
    with pytest.raises(PromptError, match="no text to fill a context with"):
        prompts.with_unrelated_text(0, nothing)


def test_other_label_words(bpe: Any, prompts: PromptSet) -> None:
    made = prompts.with_label_words(bpe, ["dax", "wug"])
    sound(made)
    for new, old in zip(made.contexts, prompts.contexts, strict=True):
        assert new.label_words == ["dax", "wug"]
        assert [d.label for d in new.demonstrations] == [d.label for d in old.demonstrations]
        assert {d.label_word for d in new.demonstrations} <= {"dax", "wug"}
    for query in made.queries:
        assert query.label is not None
        assert query.target_tokens == made.contexts[0].label_tokens[query.label]
    assert prompts.contexts[0].label_words == ["negative", "positive"]
    with pytest.raises(PromptError, match="got 3 label words"):
        prompts.with_label_words(bpe, ["a", "b", "c"])
    with pytest.raises(PromptError, match="the beginning of"):
        prompts.with_label_words(bpe, ["xq", "xqz"])


def test_label_words_too_long_for_the_window(bpe: Any, task: Task) -> None:
    with pytest.warns(ICLMechWarning):
        small = build_prompts(bpe, task, k=8, n_queries=3, n_ctx=150)
    with pytest.raises(PromptError, match="fit before the longest query"):
        small.with_label_words(bpe, ["antidisestablishmentarianism", "floccinaucinihilipilification"])
