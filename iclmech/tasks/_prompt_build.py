"""The steps of `build_prompts`: which rows are usable, how they become tokens, what the window cuts, and what to tell the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from iclmech._base import PromptError, np_rng

from ._chat import ChatTokenizer
from ._label_tokens import encode_labels, shared_start
from ._prompt_parts import Context, Demonstration, Query, Span
from ._records import Example
from ._select import Choose, Selector, choose, select
from ._task import Task
from ._template import template as parse_template
from ._tokens import PieceTokenizer
from ._window import context_room, fitting, query_cost


@dataclass
class PromptBuild:
    """The steps of `build_prompts`, and what they had to leave out."""

    tokenizer: PieceTokenizer
    task: Task
    separator: str
    max_share: float
    selection: str | Selector | Choose = "random"
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
        return self.tokenizer.turn(tokens, spans) if isinstance(self.tokenizer, ChatTokenizer) else (tokens, spans)

    def _answer(self, word: str, example: Example, place: str) -> list[int]:
        answer = self.tokenizer.label(word)
        if not answer or (example.label is None and self.tokenizer.unk in answer):  # label words are checked as a set
            raise PromptError(
                f"task {self.task.name!r}, {place}: the answer {word!r} is not in the vocabulary of {self.tokenizer.name} (after a space "
                f"its tokens are {answer}); expected words that the tokenizer knows. Take another task or model, or change the record."
            )
        return answer

    def demonstration(self, task: Task, row: int) -> Demonstration:
        """Row `row` of the training examples, not yet placed in a context."""
        example = task.train[row]
        tokens, spans = self._input(example, f"train example {row}")
        word = task.answer(example)
        answer = self._answer(word, example, f"train example {row}")
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

    def _usable(self, task: Task, row: int, made: dict[int, Demonstration]) -> bool:
        """Make the demonstration of a row, and see whether it fits into its share of the window."""
        made[row] = self.demonstration(task, row)
        fits = self.limit is None or len(made[row].tokens) - 1 + len(self.separator_tokens) <= self.limit
        if not fits:
            self.long_demonstrations.add(row)
        return fits

    def _need_examples(self, task: Task, k: int) -> None:
        if k and not task.train:
            raise PromptError(f"task {task.name!r} has no training examples, and k={k}; give some, or k=0.")

    def demonstrations(self, task: Task, k: int, seed: int, c: int) -> list[Demonstration]:
        """Up to k demonstrations for context c, drawn, none too long."""
        self._need_examples(task, k)
        if self.selection == "balanced" and not task.label_words:
            raise PromptError(
                f"task {task.name!r} has free-text answers, no classes to balance; use selection='random'."
            )
        made: dict[int, Demonstration] = {}
        labels = [e.label for e in task.train]
        balanced = self.selection == "balanced"
        generator = np_rng(seed, f"demonstrations {c}")
        rows = select(labels, k, generator, "balanced" if balanced else "random", lambda r: self._usable(task, r, made))
        return [made[row] for row in rows]

    def retrieved(
        self,
        selector: Selector | Choose,
        episodes: Sequence[Task],
        queries: Sequence[Query],
        k: int,
        seed: int,
        split: str,
    ) -> list[list[Demonstration]]:
        """Up to k demonstrations chosen for each query: none too long, none the query itself.

        Where the window or the selector gives fewer to one query, it is asked anew for that number, for all of them.
        """
        chosen = [
            self._retrieve(selector, task, query, k, seed, query.index if split == "train" else None)
            for task, query in zip(episodes, queries, strict=True)
        ]
        kept = self._kept(episodes, chosen, queries)
        return chosen if kept in (0, k) else self.retrieved(selector, episodes, queries, kept, seed, split)

    def _retrieve(
        self, selector: Selector | Choose, task: Task, query: Query, k: int, seed: int, itself: int | None
    ) -> list[Demonstration]:
        self._need_examples(task, k)
        made: dict[int, Demonstration] = {}

        def usable(row: int) -> bool:
            return row != itself and self._usable(task, row, made)

        return [made[row] for row in choose(selector, task.train, query, k, seed, usable)]

    def _kept(self, episodes: Sequence[Task], chosen: Sequence[list[Demonstration]], queries: Sequence[Query]) -> int:
        """How many demonstrations every context can have, beside the longest query and answer."""
        labels = [ids for e in episodes for ids in encode_labels(e.label_words, self.tokenizer)]
        room = context_room(self.tokenizer.n_ctx, queries, labels)
        return min(fitting(demonstrations, self.separator_tokens, room) for demonstrations in chosen)

    def queries(
        self, episodes: Sequence[Task], n: int, seed: int, split: str, taken: set[int], at_least: int | None = None
    ) -> list[Query]:
        """Up to n queries, none too long, dealt out to the contexts in turn; `at_least`: else one for each context."""
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
        if len(made) < (len(episodes) if at_least is None else at_least):
            raise PromptError(
                f"task {self.task.name!r}: {len(made)} queries for {len(episodes)} contexts, out of {len(rows)} {split} examples of "
                f"which {len(self.long_queries)} are too long (more than {self.limit} tokens with the answer) and {len(taken)} "
                "serve as demonstrations. Give more or shorter examples, a larger window, or a larger max_share."
            )
        return made

    def _query(self, task: Task, split: str, row: int, context: int) -> Query:
        example = getattr(task, split)[row]
        tokens, spans = self._input(example, f"{split} example {row}")
        target = self._answer(task.answer(example), example, f"{split} example {row}")
        return Query(context, tokens, example.label, target, example.text, spans, row)

    def contexts(
        self,
        episodes: Sequence[Task],
        chosen: Sequence[list[Demonstration]],
        queries: Sequence[Query],
        k: int,
        seed: int,
    ) -> list[Context]:
        """Join the demonstrations, the same number in every context, cut where the window ends."""
        labels = {tuple(e.label_words): encode_labels(e.label_words, self.tokenizer) for e in episodes}
        kept = self._kept(episodes, chosen, queries)
        if k and not kept:
            raise PromptError(
                f"task {self.task.name!r}: not a single demonstration fits into the window of {self.tokenizer.n_ctx} tokens of "
                f"{self.tokenizer.name} beside the longest query (a text may take {self.limit}). Give shorter examples, a larger "
                "window, another max_share, or k=0."
            )
        made = []
        for c, (episode, demonstrations) in enumerate(zip(episodes, chosen, strict=True)):
            order = range(kept)
            if self.selection == "balanced":  # the rounds of the selection must not show
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
            if not isinstance(self.selection, str):
                why += ", or the selection gave no more"
            notes.append(f"{kept} of the {k} demonstrations asked for remain, in ICL and in every update: {why}.")
        if len(queries) < n_queries:
            notes.append(f"{len(queries)} of the {n_queries} queries asked for: there are no more usable examples.")
        return notes
