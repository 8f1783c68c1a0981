"""`build_prompts`: from a task to token ids with exact spans, the same in every setting."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from iclmech._base import ICLMechWarning, PromptError, np_rng

from ._label_tokens import encode_labels, shared_start
from ._prompt_parts import Context, Demonstration, Query, Span
from ._prompt_set import PromptSet
from ._records import Example
from ._select import Selection, select
from ._task import Task
from ._template import template as parse_template
from ._tokens import PieceTokenizer
from ._window import context_room, fitting, query_cost


def build_prompts(
    model: Any,
    task: Task,
    k: int = 32,
    n_queries: int = 256,
    seed: int = 0,
    n_contexts: int = 1,
    *,
    separator: str | None = None,
    selection: Selection = "random",
    query_seed: int = 0,
    queries_from: Literal["test", "train"] = "test",
    max_share: float = 0.5,
    n_ctx: int | None = None,
) -> PromptSet:
    """Draw demonstrations and queries, tokenise them, and fit them into the model's window.

    A demonstration is the filled template, a space and the label word, then the separator. Its pieces are tokenised apart
    and their ids joined, so a piece has the same ids in every setting. Demonstrations stand in the context in the order in
    which an update takes its steps.

    The window: a text that takes more than `max_share` of it (a query with its answer, a demonstration with its separator) is
    dropped and counted; then every context loses as many whole demonstrations, the same number in all, as it takes for
    the longest query and answer to fit. What was dropped or cut is told in one `ICLMechWarning`, in `.dropped`, and in
    `.meta["notes"]`.

    Args:
        model: an `ICLModel`, or a transformers tokenizer.
        task: where examples, template and label words come from.
        k: demonstrations in each context; 0 is legal.
        n_queries: queries in total, at most; query j belongs to context j % n_contexts.
        seed: draws the demonstrations (and label words, where the task redraws them). Context c depends on (seed, c) only.
        n_contexts: number of demonstration sets.
        separator: after each demonstration; None is the task's own, `"<eos>"` the end-of-text token, `""` nothing.
        selection: `"random"`, or `"balanced"`: as many of each class as can be, in random order.
        query_seed: draws the queries, which thus are the same for every `seed` and `k`.
        queries_from: `"train"` draws queries from training examples that are no demonstrations here (held out, to choose
            a learning rate on).
        max_share: the largest part of the window for one text. The default lets one demonstration fit beside any query.
        n_ctx: a smaller window than the model's.

    Raises:
        PromptError: an argument out of range, label words that cannot be told apart, nothing to draw from, or a window too
            small for a single demonstration.
    """
    _check_arguments(k, n_queries, n_contexts, selection, queries_from, max_share)
    tokenizer = PieceTokenizer.of(model, n_ctx)
    episode_seeds = [int(np_rng(seed, f"episode {c}").integers(2**31)) for c in range(n_contexts)]
    build = _Build(tokenizer, task, task.separator if separator is None else separator, max_share)
    episodes = [task.episode(s) for s in episode_seeds]
    chosen = [build.demonstrations(episode, k, seed, c, selection) for c, episode in enumerate(episodes)]
    taken = {d.index for demonstrations in chosen for d in demonstrations} if queries_from == "train" else set()
    queries = build.queries(episodes, n_queries, query_seed, queries_from, taken)
    contexts = build.contexts(episodes, chosen, queries, k, seed, selection)
    notes = build.notes(k, n_queries, contexts, queries)
    if notes:
        warnings.warn(f"Prompts of task {task.name!r}: " + " ".join(notes), ICLMechWarning, stacklevel=2)
    kept = len(contexts[0].demonstrations)
    return PromptSet(
        contexts=contexts,
        queries=queries,
        bos=tokenizer.bos,
        task=task.name,
        k=kept,
        k_requested=k,
        seed=seed,
        dropped={"queries": len(build.long_queries), "demonstrations": len(build.long_demonstrations), "cut": k - kept},
        n_ctx=tokenizer.n_ctx,
        meta={
            "task_hash": task.hash,
            "template": task.template,
            "separator": build.separator,
            "tokenizer": tokenizer.name,
            "selection": selection,
            "query_seed": query_seed,
            "queries_from": queries_from,
            "max_share": max_share,
            "episode_seeds": episode_seeds,
            "notes": notes,
        },
        token_strings=tokenizer.strings(_all_tokens(contexts, queries)),
    )


def _check_arguments(
    k: int, n_queries: int, n_contexts: int, selection: str, queries_from: str, max_share: float
) -> None:
    for name, value, least in (("k", k, 0), ("n_queries", n_queries, 1), ("n_contexts", n_contexts, 1)):
        if value < least:
            raise PromptError(f"got {name}={value}; expected {least} or more.")
    if n_contexts > n_queries:
        raise PromptError(
            f"got n_contexts={n_contexts} for n_queries={n_queries}; expected at least one query per context."
        )
    if selection not in get_args(Selection):
        raise PromptError(f"got selection={selection!r}; expected one of {list(get_args(Selection))}.")
    if queries_from not in ("train", "test"):
        raise PromptError(f"got queries_from={queries_from!r}; expected 'test' or 'train'.")
    if not 0 < max_share <= 1:
        raise PromptError(f"got max_share={max_share}; expected a share of the window, above 0 and at most 1.")


def _all_tokens(contexts: Sequence[Context], queries: Sequence[Query]) -> list[int]:
    tokens = {token for context in contexts for token in context.tokens}
    tokens |= {token for context in contexts for ids in context.label_tokens for token in ids}
    tokens |= {token for query in queries for token in (*query.tokens, *(query.target_tokens or ()))}
    return sorted(tokens)


@dataclass
class _Build:
    """The steps of `build_prompts`, and what they had to leave out."""

    tokenizer: PieceTokenizer
    task: Task
    separator: str
    max_share: float
    long_queries: set[int] = field(default_factory=set)
    long_demonstrations: set[int] = field(default_factory=set)

    @cached_property
    def separator_tokens(self) -> list[int]:
        return self.tokenizer.separator(self.separator)

    @cached_property
    def limit(self) -> int | None:
        """The most tokens that one text may take beside BOS."""
        return None if self.tokenizer.n_ctx is None else int((self.tokenizer.n_ctx - 1) * self.max_share)

    @cached_property
    def longest_label(self) -> int:
        """Of all that an episode may draw, so that the limit for queries does not depend on the seed."""
        words = [*self.task.label_words, *self.task.label_pool]
        return max((len(self.tokenizer.label(word)) for word in words), default=0)

    def _input(self, example: Example, place: str) -> tuple[list[int], tuple[Span, ...]]:
        tokens, spans = parse_template(self.task.template).encode(example.fields, self.tokenizer)
        if not tokens:
            raise PromptError(
                f"task {self.task.name!r}, {place}: the filled template {self.task.render(example)!r} has no tokens under "
                f"{self.tokenizer.name}; expected at least one. Remove the record, or add words to the template."
            )
        return tokens, spans

    def demonstration(self, task: Task, row: int) -> Demonstration:
        """Row `row` of the training examples, not yet placed in a context."""
        example = task.train[row]
        tokens, spans = self._input(example, f"train example {row}")
        word = task.answer(example)
        answer = self.tokenizer.label(word)
        if not answer:
            raise PromptError(
                f"task {task.name!r}, train example {row}: the answer {word!r} has no tokens; give another one."
            )
        start = 1 + len(tokens)
        return Demonstration(
            tokens=[self.tokenizer.bos, *tokens, *answer],
            label_span=(start, start + len(answer)),
            spans=(Span("bos", 0, 1), *(s.shifted(1) for s in spans), Span("label", start, start + len(answer))),
            context_start=1,
            text=example.text,
            label=example.label,
            label_word=word,
            index=row,
        )

    def demonstrations(self, task: Task, k: int, seed: int, c: int, selection: Selection) -> list[Demonstration]:
        """Up to k demonstrations for context c, none too long."""
        if k and not task.train:
            raise PromptError(f"task {task.name!r} has no training examples, and k={k}; give some, or k=0.")
        if selection == "balanced" and not task.label_words:
            raise PromptError(
                f"task {task.name!r} has free-text answers, no classes to balance; use selection='random'."
            )
        made: dict[int, Demonstration] = {}

        def usable(row: int) -> bool:
            made[row] = self.demonstration(task, row)
            fits = self.limit is None or len(made[row].tokens) - 1 + len(self.separator_tokens) <= self.limit
            if not fits:
                self.long_demonstrations.add(row)
            return fits

        rows = select([e.label for e in task.train], k, np_rng(seed, f"demonstrations {c}"), selection, usable)
        return [made[row] for row in rows]

    def queries(self, episodes: Sequence[Task], n: int, seed: int, split: str, taken: set[int]) -> list[Query]:
        """Up to n queries, none too long, dealt out to the contexts in turn."""
        rows = np_rng(seed, f"queries from {split}").permutation(len(getattr(self.task, split)))
        made: list[Query] = []
        for row in (int(r) for r in rows):
            if len(made) == n:
                break
            if row in taken:
                continue
            context = len(made) % len(episodes)
            query = self._query(episodes[context], split, row, context)
            if self.limit is not None and query_cost(query, self.longest_label) > self.limit:
                self.long_queries.add(row)
            else:
                made.append(query)
        if len(made) < len(episodes):
            raise PromptError(
                f"task {self.task.name!r}: {len(made)} queries for {len(episodes)} contexts, out of {len(rows)} {split} examples of "
                f"which {len(self.long_queries)} are too long (more than {self.limit} tokens with the answer) and {len(taken)} "
                "serve as demonstrations. Give more or shorter examples, a larger window, or a larger max_share."
            )
        return made

    def _query(self, task: Task, split: str, row: int, context: int) -> Query:
        example = getattr(task, split)[row]
        tokens, spans = self._input(example, f"{split} example {row}")
        target = self.tokenizer.label(task.answer(example))
        return Query(context, tokens, example.label, target, example.text, spans, row)

    def contexts(
        self,
        episodes: Sequence[Task],
        chosen: Sequence[list[Demonstration]],
        queries: Sequence[Query],
        k: int,
        seed: int,
        selection: Selection,
    ) -> list[Context]:
        """Join the demonstrations, the same number in every context, cut where the window ends."""
        labels = {tuple(e.label_words): encode_labels(e.label_words, self.tokenizer) for e in episodes}
        room = context_room(self.tokenizer.n_ctx, queries, [ids for tokens in labels.values() for ids in tokens])
        kept = min(fitting(demonstrations, self.separator_tokens, room) for demonstrations in chosen)
        if k and not kept:
            raise PromptError(
                f"task {self.task.name!r}: not a single demonstration fits into the window of {self.tokenizer.n_ctx} tokens of "
                f"{self.tokenizer.name} beside the longest query (a text may take {self.limit}). Give shorter examples, a larger "
                "window, another max_share, or k=0."
            )
        made = []
        for c, (episode, demonstrations) in enumerate(zip(episodes, chosen, strict=True)):
            order = range(kept)
            if selection == "balanced":  # the rounds of the selection must not show
                order = np_rng(seed, f"order {c}").permutation(kept)
            made.append(
                Context.of(
                    [demonstrations[int(i)] for i in order],
                    bos=self.tokenizer.bos,
                    separator=self.separator_tokens,
                    label_words=episode.label_words,
                    label_tokens=labels[tuple(episode.label_words)],
                )
            )
        return made

    def notes(self, k: int, n_queries: int, contexts: Sequence[Context], queries: Sequence[Query]) -> list[str]:
        """What the user must know, in sentences."""
        starts = [note for c in contexts if (note := shared_start(c.label_words, c.label_tokens))]
        notes = starts[:1]
        if self.separator and not self.separator_tokens and k:
            notes.append(
                f"The separator {self.separator!r} has no tokens, so demonstrations follow each other directly."
            )
        window = f"the window of {self.tokenizer.n_ctx} tokens"
        if self.long_queries or self.long_demonstrations:
            notes.append(
                f"{len(self.long_queries)} queries and {len(self.long_demonstrations)} demonstrations were dropped as too long: one "
                f"text may take {self.limit} tokens of {window}."
            )
        kept = len(contexts[0].demonstrations)
        if kept < k:
            rows = len(self.task.train) - len(self.long_demonstrations)
            why = f"the task has only {rows} usable training examples" if rows == kept else f"no more fit into {window}"
            notes.append(f"{kept} of the {k} demonstrations asked for remain, in ICL and in every update: {why}.")
        if len(queries) < n_queries:
            notes.append(f"{len(queries)} of the {n_queries} queries asked for: there are no more usable examples.")
        return notes
