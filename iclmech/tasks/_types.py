"""What a prompt is made of: typed spans, demonstrations, contexts, queries, and the set of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from iclmech._base import PromptError, digest

Role = Literal["bos", "template", "text", "forerunner", "label", "separator"]


@dataclass(frozen=True)
class Span:
    """Tokens `start` (included) to `stop` (excluded), all of one role."""

    role: Role
    start: int
    stop: int

    def shifted(self, by: int) -> Span:
        """The same span, `by` tokens to the right."""
        return Span(self.role, self.start + by, self.stop + by)


@dataclass(frozen=True)
class Demonstration:
    """One labelled example as an update sees it: BOS + input + label, without a separator.

    Token i >= 1 of `tokens` is token `context_start + i - 1` of the context it stands in.
    """

    tokens: list[int]
    label_span: tuple[int, int]  # of the label word, in `tokens`
    spans: tuple[Span, ...]  # cover `tokens` without gap or overlap
    context_start: int  # index in `Context.tokens` of the first token after BOS
    text: str  # the fields of the example (several: joined by newlines)
    label: int | None  # index into the task's label words; None where the target is free text
    label_word: str
    index: int  # row of `task.train`

    def relabelled(self, label: int | None, label_word: str, label_tokens: Sequence[int]) -> Demonstration:
        """The same input under another label."""
        start = self.label_span[0]
        stop = start + len(label_tokens)
        return replace(
            self,
            tokens=[*self.tokens[:start], *label_tokens],
            label_span=(start, stop),
            spans=(*(s for s in self.spans if s.role != "label"), Span("label", start, stop)),
            label=label,
            label_word=label_word,
        )


@dataclass(frozen=True)
class Context:
    """What stands before a query under ICL: BOS + demonstrations, each followed by the separator; [BOS] when k=0.

    The order of `demonstrations` is the order of the prompt *and* of the steps of an update.
    """

    tokens: list[int]
    demonstrations: list[Demonstration]
    label_words: list[str]
    label_tokens: list[list[int]]  # tokens of " " + label word
    spans: tuple[Span, ...]  # cover `tokens` without gap or overlap
    separator: list[int]

    @classmethod
    def of(
        cls,
        demonstrations: Sequence[Demonstration],
        *,
        bos: int,
        separator: Sequence[int],
        label_words: Sequence[str],
        label_tokens: Sequence[Sequence[int]],
    ) -> Context:
        """Join demonstrations in the order given; their `context_start` is set anew."""
        tokens, spans, placed = [bos], [Span("bos", 0, 1)], []
        for demonstration in demonstrations:
            start = len(tokens)
            placed.append(replace(demonstration, context_start=start))
            tokens += demonstration.tokens[1:]
            spans += [span.shifted(start - 1) for span in demonstration.spans if span.role != "bos"]
            if separator:
                spans.append(Span("separator", len(tokens), len(tokens) + len(separator)))
                tokens += separator
        words, word_tokens = list(label_words), [list(ids) for ids in label_tokens]
        return cls(tokens, placed, words, word_tokens, tuple(spans), list(separator))

    def with_demonstrations(self, demonstrations: Sequence[Demonstration]) -> Context:
        """The same label words and separator around other demonstrations."""
        return Context.of(
            demonstrations,
            bos=self.tokens[0],
            separator=self.separator,
            label_words=self.label_words,
            label_tokens=self.label_tokens,
        )


@dataclass(frozen=True)
class Query:
    """One question: its own tokens, up to and with the prediction position (the forerunner).

    They follow the context's tokens under ICL, and BOS alone under ZS and FT.
    """

    context: int  # which context it belongs to
    tokens: list[int]
    label: int | None  # index into the task's label words; None where the target is free text
    target_tokens: list[int] | None  # tokens of " " + right answer; None where it is not known
    text: str
    spans: tuple[Span, ...]  # cover `tokens` without gap or overlap
    index: int  # row of the split that the queries come from


@dataclass(frozen=True, repr=False)
class PromptSet:
    """Contexts, and queries that each belong to one of them.

    `dropped` counts what the window took: `"queries"` and `"demonstrations"` too long for it, `"cut"` demonstrations
    (`k_requested - k`) that did not fit in number. `meta` holds how the set was built (JSON-serialisable), with the
    user's notes in `meta["notes"]`. `token_strings` says how each token id that occurs here reads.
    """

    contexts: list[Context]
    queries: list[Query]
    bos: int
    task: str
    k: int
    k_requested: int
    seed: int
    dropped: dict[str, int] = field(default_factory=dict)
    n_ctx: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    token_strings: dict[int, str] = field(default_factory=dict, compare=False)

    @property
    def demonstrations(self) -> list[Demonstration]:
        """Those of the only context. Raises `PromptError` if there are several contexts."""
        return self._only("demonstrations").demonstrations

    @property
    def context_tokens(self) -> list[int]:
        """Tokens of the only context. Raises `PromptError` if there are several contexts."""
        return self._only("context_tokens").tokens

    def _only(self, what: str) -> Context:
        if len(self.contexts) != 1:
            name = what if what == "demonstrations" else "tokens"
            raise PromptError(
                f"prompts.{what} means those of the only context, and there are {len(self.contexts)} contexts. "
                f"Use prompts.contexts[c].{name}."
            )
        return self.contexts[0]

    @property
    def hash(self) -> str:
        """16 hex digits that depend on every token of every context and query, and on the label words."""
        contexts = [[c.tokens, [d.tokens for d in c.demonstrations], c.label_words, c.label_tokens] for c in self.contexts]
        return digest(contexts, [[q.context, q.tokens, q.label, q.target_tokens] for q in self.queries])

    def sequence(self, query: int) -> list[int]:
        """All tokens of query number `query` as ICL sees it: its context's, then its own."""
        return [*self.contexts[self.queries[query].context].tokens, *self.queries[query].tokens]

    def with_contexts(self, contexts: Sequence[Context], **meta: Any) -> PromptSet:
        """The same queries after other contexts (one for each that is there now); `meta` is added to `self.meta`.

        Raises `PromptError` if the number of contexts differs.
        """
        if len(contexts) != len(self.contexts):
            raise PromptError(
                f"got {len(contexts)} contexts for a prompt set with {len(self.contexts)}; the queries refer to contexts "
                f"by number, so give exactly {len(self.contexts)}."
            )
        k = min((len(c.demonstrations) for c in contexts), default=0)
        return replace(self, contexts=list(contexts), k=k, meta={**self.meta, **meta})

    def reordered(self, seed: int = 0) -> PromptSet:
        """The same demonstrations of every context in another order. See `iclmech.tasks.reordered`."""
        from ._controls import reordered

        return reordered(self, seed)

    def with_shuffled_labels(self, seed: int = 0) -> PromptSet:
        """Labels permuted among the demonstrations of every context. See `iclmech.tasks.with_shuffled_labels`."""
        from ._controls import with_shuffled_labels

        return with_shuffled_labels(self, seed)

    def with_demonstrations_of(self, other: PromptSet) -> PromptSet:
        """The demonstrations of another task before these queries. See `iclmech.tasks.with_demonstrations_of`."""
        from ._controls import with_demonstrations_of

        return with_demonstrations_of(self, other)

    def with_unrelated_text(self, seed: int = 0, source: PromptSet | None = None) -> PromptSet:
        """Contexts as long, of unrelated text. See `iclmech.tasks.with_unrelated_text`."""
        from ._controls import with_unrelated_text

        return with_unrelated_text(self, seed, source)

    def with_label_words(self, model: Any, label_words: Sequence[str]) -> PromptSet:
        """The same prompts under other label words. See `iclmech.tasks.with_label_words`."""
        from ._controls import with_label_words

        return with_label_words(self, model, label_words)

    def __repr__(self) -> str:
        lengths = [len(c.tokens) for c in self.contexts]
        cut = f" of {self.k_requested} asked for" if self.k != self.k_requested else ""
        return (
            f"PromptSet(task={self.task!r}, k={self.k}{cut}, contexts={len(self.contexts)}, queries={len(self.queries)}, "
            f"context_tokens={min(lengths, default=0)}..{max(lengths, default=0)}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        from ._html import prompt_set_html

        return prompt_set_html(self)
