from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from iclmech._base import ICLMechWarning, PromptError
from iclmech.tasks import EOS_SEPARATOR, Context, PieceTokenizer, PromptSet, Span, Task, build_prompts

from ._tokenizers import KINDS
from .conftest import records

TOKENIZERS = {name: make() for name, make in KINDS.items()}
TRICKY = [
    "😀",
    "\n",
    "\n\n",
    "positive",
    " positive",
    "Sentiment: positive",
    ":",
    "{text}",
    "<eos>",
    "</s>",
    "▁",
    " ",
    "e\u0301",
    "\x00",
]
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.lists(st.sampled_from([*TRICKY, "film", " a"]), min_size=1, max_size=6).map("".join),
    st.integers(200, 1000).map(lambda n: "very long " * (n // 10)),
).filter(lambda text: bool(text.strip()))
PROPERTY = settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def covers(spans: Sequence[Span], length: int) -> bool:
    """No gap, no overlap, nothing empty, from 0 to `length`."""
    edges = [0, *(span.stop for span in spans)]
    return [span.start for span in spans] == edges[:-1] and edges[-1] == length and all(s.start < s.stop for s in spans)


def quiet(*args: Any, **kwargs: Any) -> PromptSet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ICLMechWarning)
        return build_prompts(*args, **kwargs)


@PROPERTY
@example(
    texts=["x", "😀 positive\n", "\n Sentiment: positive"],
    kind="metaspace",
    separator="\n",
    template="{text}",
    n_ctx=None,
)
@given(
    texts=st.lists(TEXTS, min_size=3, max_size=6),
    kind=st.sampled_from(sorted(KINDS)),
    separator=st.sampled_from(["\n", "", EOS_SEPARATOR, " ;", "\n\n", "positive"]),
    template=st.sampled_from(
        ["Review: {text}\nSentiment:", "{text} Label: ", "a {text}", "{text}{text}.", "x: {text} {text}:\n"]
    ),
    n_ctx=st.sampled_from([None, 120, 400]),
)
def test_spans_and_pieces_for_any_text(
    texts: list[str], kind: str, separator: str, template: str, n_ctx: int | None
) -> None:
    tokenizer = TOKENIZERS[kind]
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(texts)]
    task = Task.from_records(rows[:-1], rows[-1:], template, ["positive", "negative"], separator=separator)
    try:
        prompts = quiet(tokenizer, task, k=len(texts) - 1, n_queries=1, n_ctx=n_ctx)
    except PromptError as error:  # the one query, or every demonstration, is too long, or is nothing to this tokenizer
        assert n_ctx is not None or "has no tokens" in str(error)  # noqa: PT017 - most texts do not raise
        return
    context, query = prompts.contexts[0], prompts.queries[0]
    assert covers(context.spans, len(context.tokens))
    assert covers(query.spans, len(query.tokens))
    assert query.spans[-1].role == "forerunner"
    for demonstration in context.demonstrations:
        assert covers(demonstration.spans, len(demonstration.tokens))
        roles = [span.role for span in demonstration.spans]
        assert roles[0] == "bos"
        assert roles[-2:] == ["forerunner", "label"]
        assert roles.count("forerunner") == roles.count("label") == 1
        same_ids_in_context(demonstration.tokens, demonstration.context_start, context.tokens)
        start, stop = demonstration.label_span
        assert demonstration.label is not None
        assert demonstration.tokens[start:stop] == context.label_tokens[demonstration.label]
        assert demonstration.text == texts[demonstration.index]
    if n_ctx is not None:
        longest = max(len(ids) for ids in context.label_tokens)
        assert len(context.tokens) + len(query.tokens) + longest + 1 <= n_ctx


def same_ids_in_context(tokens: list[int], start: int, context: list[int]) -> None:
    """What an update sees after BOS is, id by id, what stands in the context."""
    assert context[start : start + len(tokens) - 1] == tokens[1:]
    assert context[0] == tokens[0]


@PROPERTY
@given(text=TEXTS, kind=st.sampled_from(sorted(KINDS)))
def test_an_input_has_the_same_ids_as_query_and_as_demonstration(text: str, kind: str) -> None:
    rows = [{"text": text, "label": 0}, {"text": text, "label": 1}]
    task = Task.from_records(rows, rows, "In: {text} Out:", ["positive", "negative"])
    prompts = quiet(TOKENIZERS[kind], task, k=2, n_queries=2)
    inputs = [d.tokens[1 : d.label_span[0]] for d in prompts.demonstrations]
    assert inputs[0] == inputs[1] == prompts.queries[0].tokens == prompts.queries[1].tokens
    assert prompts.queries[0].spans == tuple(s.shifted(-1) for s in prompts.demonstrations[0].spans[1:-1])


@PROPERTY
@given(text=TEXTS)
def test_byte_level_tokens_read_as_the_text(text: str) -> None:
    rows = [{"text": text, "label": 0}, {"text": text, "label": 1}]
    task = Task.from_records(rows, rows, "In: {text} Out:", ["positive", "negative"])
    tokenizer = TOKENIZERS["byte_level"]
    prompts = build_prompts(tokenizer, task, k=2, n_queries=1)
    demonstrations = [f"In: {text.strip()} Out: {d.label_word}\n" for d in prompts.demonstrations]
    read = tokenizer.decode(prompts.sequence(0)[1:], clean_up_tokenization_spaces=False)
    assert read == "".join(demonstrations) + f"In: {text.strip()} Out:"


def test_a_known_prompt(bpe: Any, task: Task) -> None:
    prompts = build_prompts(bpe, task, k=3, n_queries=4)
    context = prompts.contexts[0]
    assert (prompts.k, prompts.k_requested, prompts.task, prompts.bos) == (3, 3, "toy", bpe.bos_token_id)
    assert prompts.context_tokens == context.tokens
    assert prompts.dropped == {"queries": 0, "demonstrations": 0, "cut": 0}
    assert context.label_words == ["negative", "positive"]
    assert context.label_tokens == [bpe.encode(" negative"), bpe.encode(" positive")]
    first = context.demonstrations[0]
    source = task.train[first.index]
    assert (first.text, first.label, first.label_word) == (source.text, source.label, task.answer(source))
    assert bpe.decode(first.tokens[1:]) == f"Review: {first.text}\nSentiment: {first.label_word}"
    roles = [(s.role, bpe.decode(first.tokens[s.start : s.stop])) for s in first.spans]
    assert roles == [
        ("bos", "<bos>"),
        ("template", "Review:"),
        ("text", f" {first.text}"),
        ("template", "\nSentiment"),
        ("forerunner", ":"),
        ("label", f" {first.label_word}"),
    ]
    query = prompts.queries[0]
    assert query.label is not None
    assert query.target_tokens == context.label_tokens[query.label]
    assert query.text == task.test[query.index].text


def test_no_demonstrations(bpe: Any, task: Task) -> None:
    prompts = build_prompts(bpe, task, k=0, n_queries=5)
    assert (prompts.context_tokens, prompts.demonstrations) == ([bpe.bos_token_id], [])
    assert prompts.contexts[0].spans == (Span("bos", 0, 1),)
    assert build_prompts(bpe, replace(task, train=[]), k=0, n_queries=5).queries == prompts.queries


def test_queries_do_not_depend_on_seed_k_or_selection(bpe: Any, task: Task) -> None:
    base = build_prompts(bpe, task, k=4, n_queries=9)
    for kwargs in ({"seed": 1}, {"k": 0}, {"k": 9}, {"selection": "balanced"}, {"separator": ";"}):
        other = build_prompts(bpe, task, **{"k": 4, "n_queries": 9, **kwargs})
        assert other.queries == base.queries
        assert other.contexts != base.contexts
    assert build_prompts(bpe, task, k=4, n_queries=9, query_seed=1).queries != base.queries
    assert build_prompts(bpe, task, k=4, n_queries=9) == base
    assert build_prompts(bpe, task, k=4, n_queries=5).queries == base.queries[:5]
    assert (
        base.hash == build_prompts(bpe, task, k=4, n_queries=9).hash != build_prompts(bpe, task, k=3, n_queries=9).hash
    )


def test_a_smaller_k_is_the_beginning_of_a_larger_one(bpe: Any, task: Task) -> None:
    small, large = (build_prompts(bpe, task, k=k, n_queries=1).context_tokens for k in (3, 8))
    assert large[: len(small)] == small


def test_several_contexts(bpe: Any, task: Task) -> None:
    prompts = build_prompts(bpe, task, k=5, n_queries=10, n_contexts=3)
    assert [q.context for q in prompts.queries] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert len({tuple(c.tokens) for c in prompts.contexts}) == 3
    assert prompts.contexts[0] == build_prompts(bpe, task, k=5, n_queries=10).contexts[0]
    assert prompts.sequence(4) == [*prompts.contexts[1].tokens, *prompts.queries[4].tokens]
    for shortcut in ("demonstrations", "context_tokens"):
        with pytest.raises(PromptError, match=rf"prompts\.{shortcut} means those of the only context, and there are 3"):
            getattr(prompts, shortcut)


def test_label_words_redrawn_for_each_context(bpe: Any, task: Task) -> None:
    redrawing = replace(task, label_pool=["dax", "wug", "blick", "fep"])
    prompts = quiet(bpe, redrawing, k=6, n_queries=8, n_contexts=8)
    assert len({tuple(c.label_words) for c in prompts.contexts}) > 2
    for query in prompts.queries:
        context = prompts.contexts[query.context]
        assert query.label is not None
        assert query.target_tokens == bpe.encode(" " + context.label_words[query.label])
        assert {d.label_word for d in context.demonstrations} <= set(context.label_words)
    episodes = [redrawing.episode(seed).label_words for seed in prompts.meta["episode_seeds"]]
    assert [c.label_words for c in prompts.contexts] == episodes


def test_balanced(bpe: Any, task: Task) -> None:
    skewed = replace(task, train=[e for i, e in enumerate(task.train) if e.label == 0 or i < 10])
    orders = set()
    for seed in range(20):
        labels = [
            d.label
            for d in build_prompts(bpe, skewed, k=6, n_queries=1, seed=seed, selection="balanced").demonstrations
        ]
        assert sorted(str(label) for label in labels) == ["0", "0", "0", "1", "1", "1"]
        orders.add(tuple(labels))
    assert any(labels[:3] == (0, 0, 0) or labels[:2] in ((0, 0), (1, 1)) for labels in orders)  # the rounds do not show


def test_the_window_cuts_whole_demonstrations(bpe: Any, task: Task) -> None:
    free = build_prompts(bpe, task, k=20, n_queries=6)
    with pytest.warns(
        ICLMechWarning, match=r"of the 20 demonstrations asked for remain, in ICL and in every update.*200 tokens"
    ):
        prompts = build_prompts(bpe, task, k=20, n_queries=6, n_ctx=200)
    assert prompts.queries == free.queries
    assert 0 < prompts.k < 20
    assert prompts.dropped == {"queries": 0, "demonstrations": 0, "cut": 20 - prompts.k}
    assert prompts.demonstrations == free.demonstrations[: prompts.k]
    needed = max(len(q.tokens) for q in prompts.queries) + max(map(len, prompts.contexts[0].label_tokens)) + 1
    assert len(prompts.context_tokens) + needed <= 200
    one_more = len(free.demonstrations[prompts.k].tokens) - 1 + len(prompts.contexts[0].separator)
    assert len(prompts.context_tokens) + one_more + needed > 200
    assert prompts.meta["notes"]


def test_the_window_is_used_to_the_last_token(bpe: Any, task: Task) -> None:
    free = build_prompts(bpe, task, k=20, n_queries=6)
    needed = max(len(q.tokens) for q in free.queries) + max(map(len, free.contexts[0].label_tokens)) + 1
    starts = [d.context_start for d in free.demonstrations]  # what stands before demonstration i, BOS included
    for n_ctx in range(150, 190):
        expected = sum(start + needed <= n_ctx for start in starts) - 1
        assert quiet(bpe, task, k=20, n_queries=6, n_ctx=n_ctx).k == expected


def test_every_context_is_cut_to_the_same_k(bpe: Any, task: Task) -> None:
    uneven = replace(task, train=[replace(e, fields={"text": e.text * (1 + i % 5)}) for i, e in enumerate(task.train)])
    prompts = quiet(bpe, uneven, k=20, n_queries=8, n_contexts=4, n_ctx=400)
    assert {len(c.demonstrations) for c in prompts.contexts} == {prompts.k}
    assert 0 < prompts.k < 20


def test_long_texts_are_dropped_before_k_is_cut(bpe: Any, task: Task) -> None:
    long = "very long " * 60
    grown = replace(
        task,
        train=[replace(e, fields={"text": long}) if i % 4 == 0 else e for i, e in enumerate(task.train)],
        test=[replace(e, fields={"text": long}) if i % 3 == 0 else e for i, e in enumerate(task.test)],
    )
    with pytest.warns(
        ICLMechWarning, match="10 queries and 10 demonstrations were dropped as too long: one text may take 299"
    ):
        prompts = build_prompts(bpe, grown, k=32, n_queries=30, n_ctx=600)
    assert prompts.dropped["queries"] == prompts.dropped["demonstrations"] == 10
    assert (len(prompts.queries), prompts.k_requested) == (20, 32)
    assert prompts.k > 5  # the long query would have left room for none
    assert not any(long in d.text for d in prompts.demonstrations)
    assert quiet(bpe, grown, k=0, n_queries=30, n_ctx=600).queries == prompts.queries  # the same set for every k
    assert len(quiet(bpe, grown, k=0, n_queries=30, n_ctx=600, max_share=1.0).queries) == 30
    assert len(build_prompts(bpe, grown, k=0, n_queries=30).queries) == 30


def test_free_text_answers(bpe: Any) -> None:
    rows = [{"q": f"what is {i}?", "a": "it is " + "so " * i} for i in range(6)]
    task = Task.from_records(rows[:4], rows[4:], "Q: {q}\nA:", target_field="a")
    prompts = build_prompts(bpe, task, k=4, n_queries=2)
    assert prompts.contexts[0].label_tokens == []
    for query in prompts.queries:
        answer = rows[4 + query.index]["a"].strip()
        assert (query.label, query.target_tokens) == (None, bpe.encode(" " + answer))
    for demonstration in prompts.demonstrations:
        start, stop = demonstration.label_span
        assert bpe.decode(demonstration.tokens[start:stop]) == " " + rows[demonstration.index]["a"].strip()
    with pytest.raises(PromptError, match="no classes to balance"):
        build_prompts(bpe, task, k=4, n_queries=2, selection="balanced")


def test_held_out_training_examples_as_queries(bpe: Any, task: Task) -> None:
    with pytest.warns(ICLMechWarning, match=r"2\d of the 99 queries"):
        prompts = build_prompts(bpe, task, k=8, n_queries=99, n_contexts=2, queries_from="train")
    used = {d.index for c in prompts.contexts for d in c.demonstrations}
    assert not used & {q.index for q in prompts.queries}
    assert used | {q.index for q in prompts.queries} == set(range(40))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"k": -1}, "got k=-1; expected 0 or more"),
        ({"n_queries": 0}, "got n_queries=0"),
        ({"n_contexts": 0}, "got n_contexts=0"),
        ({"n_queries": 2, "n_contexts": 3}, "at least one query per context"),
        ({"max_share": 0.0}, "got max_share=0.0"),
        ({"n_ctx": 12}, "0 queries for 1 contexts, out of 30 test examples of which 30 are too long"),
        ({"n_ctx": 40, "max_share": 1.0}, "not a single demonstration fits into the window of 40 tokens"),
    ],
)
def test_bad_arguments(bpe: Any, task: Task, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        build_prompts(bpe, task, **kwargs)


def test_too_few_examples_are_told(bpe: Any, task: Task) -> None:
    with pytest.warns(
        ICLMechWarning, match=r"40 of the 50 demonstrations .* only 40 usable training examples\. 30 of the 31 queries"
    ):
        prompts = build_prompts(bpe, task, k=50, n_queries=31)
    assert (prompts.k, len(prompts.queries)) == (40, 30)
    with pytest.raises(PromptError, match="has no training examples, and k=2"):
        build_prompts(bpe, replace(task, train=[]), k=2, n_queries=1)


def test_label_words_that_start_alike_are_told(bpe: Any, task: Task) -> None:
    with pytest.warns(ICLMechWarning, match=r"all start with the same token"):
        build_prompts(bpe, replace(task, label_words=["zq1", "zq2"]), k=2, n_queries=2)


def test_a_separator_without_tokens_is_told(tokenizers: dict[str, Any], task: Task) -> None:
    with pytest.warns(ICLMechWarning, match=r"The separator '\\n' has no tokens"):
        prompts = build_prompts(tokenizers["words"], task, k=2, n_queries=2)
    assert covers(prompts.contexts[0].spans, len(prompts.context_tokens))


def test_an_input_without_tokens_is_named() -> None:
    rows = [{"text": "\u200b", "label": 0}, {"text": "b", "label": 1}]
    task = Task.from_records(rows, rows, "{text}", ["aa", "bb"])
    letters = PieceTokenizer(lambda text: [ord(c) for c in text if c.isalpha()], bos=0)
    with pytest.raises(PromptError, match=r"test example 0: the filled template '\\u200b' has no tokens"):
        build_prompts(letters, task, k=0, n_queries=2)


def test_with_contexts(bpe: Any, task: Task) -> None:
    prompts = build_prompts(bpe, task, k=3, n_queries=4, n_contexts=2)
    with pytest.raises(PromptError, match="got 1 contexts for a prompt set with 2"):
        prompts.with_contexts(prompts.contexts[:1])
    shorter = [c.with_demonstrations(c.demonstrations[:2]) for c in prompts.contexts]
    assert prompts.with_contexts(shorter, note="x").k == 2
    assert prompts.with_contexts(shorter, note="x").meta["note"] == "x"
    assert isinstance(shorter[0], Context)


def test_reprs(bpe: Any, task: Task) -> None:
    prompts = quiet(bpe, task, k=20, n_queries=6, n_ctx=200)
    assert repr(prompts).startswith(f"PromptSet(task='toy', k={prompts.k} of 20 asked for, contexts=1, queries=6")
    nasty = Task.from_records(
        [{"text": "<script>x</script>", "label": i} for i in range(2)], records(2), label_words=["<i>", "</textarea>"]
    )
    html = quiet(bpe, nasty, k=2, n_queries=2)._repr_html_()
    assert "<script" not in html
    assert "</textarea" not in html
    assert "&lt;script&gt;" in html.replace("<span", "").replace("</span>", "")
    assert "title='label, tokens" in html


@pytest.mark.parametrize("k", [0, 3])
def test_answers_that_the_tokenizer_does_not_know_are_refused(tokenizers: dict[str, Any], k: int) -> None:
    rows = [{"text": "film", "answer": "good"}, {"text": "plot", "answer": "zyxt"}]
    task = Task.from_records(rows * 3, rows, "{text} :", target_field="answer", name="free")
    split = "train" if k else "test"
    with pytest.raises(
        PromptError, match=rf"task 'free', {split} example \d: the answer 'zyxt' is not in the vocabulary"
    ):
        build_prompts(tokenizers["words"], task, k=k, n_queries=2)
    assert build_prompts(tokenizers["byte_level"], task, k=k, n_queries=2).queries
