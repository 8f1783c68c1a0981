"""The parts of a prompt: typed spans, demonstrations, contexts, queries. Plain values, no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

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
