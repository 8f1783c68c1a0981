"""Contexts turned into controls. Pure functions: contexts in, new contexts out; queries are never touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iclmech._base import PromptError, np_rng

from ._label_permutations import permuted_labels
from ._label_tokens import encode_labels
from ._prompt_parts import Context, Demonstration, Span
from ._tokens import PieceTokenizer
from ._window import fitting


def _another_order(generator: np.random.Generator, labels: Sequence[object]) -> list[int]:
    """A random permutation under which `labels` reads differently, where there is one."""
    n = len(labels)
    if len(set(labels)) < 2:
        return list(range(n))
    while True:
        order = [int(i) for i in generator.permutation(n)]
        if [labels[i] for i in order] != list(labels):
            return order


def reordered(contexts: Sequence[Context], seed: int) -> list[Context]:
    """The same demonstrations in another order."""
    made = []
    for c, context in enumerate(contexts):
        rows = [tuple(d.tokens) for d in context.demonstrations]
        order = _another_order(np_rng(seed, f"reordered {c}"), rows)
        made.append(context.with_demonstrations([context.demonstrations[i] for i in order]))
    return made


def with_shuffled_labels(contexts: Sequence[Context], seed: int) -> list[Context]:
    """Labels permuted among a context's demonstrations: as many of each as before, on other inputs."""
    made = []
    for c, context in enumerate(contexts):
        old = context.demonstrations
        order = _another_order(np_rng(seed, f"shuffled labels {c}"), [d.label_word for d in old])
        answers = [(old[i].label, old[i].label_word, old[i].tokens[slice(*old[i].label_span)]) for i in order]
        made.append(context.with_demonstrations([d.relabelled(*a) for d, a in zip(old, answers, strict=True)]))
    return made


def with_permuted_labels(contexts: Sequence[Context], n: int, seed: int) -> list[list[Context]]:
    """`n` times all contexts, with labels permuted in each as `permuted_labels` does; answers in free text are moved whole."""
    made: list[list[Context]] = [[] for _ in range(n)]
    for c, context in enumerate(contexts):
        old = context.demonstrations
        words = [d.label_word for d in old]
        answers = {d.label_word: (d.label, d.label_word, d.tokens[slice(*d.label_span)]) for d in old}
        free_text = any(d.label is None for d in old)
        draws = permuted_labels(words, n, seed, stream=f"context {c}", derange=free_text)
        for one, drawn in zip(made, draws, strict=True):
            new = [d.relabelled(*answers[word]) for d, word in zip(old, drawn, strict=True)]
            one.append(context.with_demonstrations(new))
    return made


def with_demonstrations_of(contexts: Sequence[Context], others: Sequence[Context], room: int | None) -> list[Context]:
    """Each context with the demonstrations of another one, as many whole ones as `room` takes.

    The label words (and so the scoring of queries) stay those of `contexts`.
    """
    if not others:
        raise PromptError(
            "got a prompt set without contexts; expected one built from the other task with the same model."
        )
    made = []
    for c, context in enumerate(contexts):
        taken = others[c % len(others)].demonstrations
        made.append(context.with_demonstrations(taken[: fitting(taken, context.separator, room)]))
    return made


def with_unrelated_text(
    contexts: Sequence[Context], sources: Sequence[Context], seed: int, shuffle: bool
) -> list[Context]:
    """Contexts of exactly the same lengths, filled with the texts of `sources`, without template, labels and separators.

    `shuffle`: the tokens are put in random order, so that texts of the same task are no texts any more.
    """
    texts = [
        demonstration.tokens[span.start : span.stop]
        for source in sources
        for demonstration in source.demonstrations
        for span in demonstration.spans
        if span.role == "text"
    ]
    if not texts:  # inputs of one token, which is the forerunner
        texts = [d.tokens[1 : d.label_span[0]] for source in sources for d in source.demonstrations]
    made = []
    for c, context in enumerate(contexts):
        length = len(context.tokens) - 1
        if length and not texts:
            raise PromptError("there is no text to fill a context with; expected a source with demonstrations (k > 0).")
        generator = np_rng(seed, f"unrelated text {c}")
        tokens: list[int] = []
        while len(tokens) < length:
            for i in generator.permutation(len(texts)):
                tokens += texts[i]
        tokens = tokens[:length]
        if shuffle:
            tokens = [tokens[i] for i in generator.permutation(length)]
        spans = (Span("bos", 0, 1), *((Span("text", 1, length + 1),) if length else ()))
        made.append(replace(context, tokens=[context.tokens[0], *tokens], demonstrations=[], spans=spans))
    return made


def with_label_words(contexts: Sequence[Context], words: Sequence[str], tokenizer: PieceTokenizer) -> list[Context]:
    """The same demonstrations and order under other label words."""
    ids = encode_labels(words, tokenizer)
    made = []
    for context in contexts:
        if len(words) != len(context.label_words) or not words:
            raise PromptError(
                f"got {len(words)} label words {list(words)} in the place of {len(context.label_words)} "
                f"({context.label_words}); expected as many. A task with free-text answers has none to replace."
            )
        new = [_relabelled(d, words, ids) for d in context.demonstrations]
        made.append(replace(context, label_words=list(words), label_tokens=ids).with_demonstrations(new))
    return made


def _relabelled(demonstration: Demonstration, words: Sequence[str], ids: Sequence[Sequence[int]]) -> Demonstration:
    if demonstration.label is None or demonstration.label >= len(words):
        raise PromptError(f"demonstration {demonstration.text[:60]!r} has no label among {list(words)}.")
    return demonstration.relabelled(demonstration.label, words[demonstration.label], ids[demonstration.label])
