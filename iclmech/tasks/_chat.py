"""Prompts as conversations: each input a turn of the user, each answer a turn of the assistant, in the tokenizer's own marks."""

from __future__ import annotations

from typing import Any

from iclmech._base import PromptError

from ._prompt_parts import Span
from ._tokens import PieceTokenizer

_USER, _ANSWER = "\x00user\x00", "\x00answer\x00"


class ChatTokenizer(PieceTokenizer):
    """A tokenizer whose inputs become turns of a user, and whose answers stand without a space before them.

    `opening`, `answering`, `closing`: ids before an input, between input and answer, and behind an answer.
    """

    opening: list[int]
    answering: list[int]
    closing: list[int]

    def label(self, word: str) -> list[int]:
        """Token ids of an answer as it stands in a turn: at its beginning."""
        return self.ids(word)

    def separator(self, separator: str) -> list[int]:
        """What ends a turn of the assistant, whatever separator is asked for."""
        return list(self.closing)

    def turn(self, tokens: list[int], spans: tuple[Span, ...]) -> tuple[list[int], tuple[Span, ...]]:
        """An input between the marks of a turn; the forerunner is the last token before the answer."""
        before = len(self.opening)
        inner = [s.shifted(before) for s in spans]
        last = inner.pop()  # the forerunner of the bare input is one of its tokens, like those before it
        inner.append(Span(inner[-1].role if inner else "text", last.start, last.stop))
        end = last.stop + len(self.answering)
        marks = [Span("template", last.stop, end - 1)] if len(self.answering) > 1 else []
        opening = [Span("template", 0, before)] if before else []
        return [*self.opening, *tokens, *self.answering], (*opening, *inner, *marks, Span("forerunner", end - 1, end))


def tokenizer_of(model: Any, n_ctx: int | None = None, chat: bool = False) -> PieceTokenizer:
    """The tokenizer of a model, for plain prompts or for conversations.

    Raises:
        PromptError: `chat` with a tokenizer that has no chat template, or one whose turns cannot be told apart.
    """
    if not chat:
        return PieceTokenizer.of(model, n_ctx)
    own: Any = model if hasattr(model, "apply_chat_template") else getattr(model, "tokenizer", None)
    if getattr(own, "chat_template", None) is None:
        raise PromptError(
            f"got chat=True, and the tokenizer of {getattr(model, 'name', type(model).__name__)} has no chat template. Leave it out, "
            "or set tokenizer.chat_template."
        )
    made = ChatTokenizer.of(model, n_ctx)
    opening, answering, closing = (own.encode(text, add_special_tokens=False) for text in _marks(own))
    made.opening, made.answering, made.closing = opening, answering, closing  # type: ignore[attr-defined]  # a ChatTokenizer
    if not answering:
        raise PromptError(f"the chat template of {made.name} puts nothing between a turn of the user and an answer.")
    return made


def _marks(tokenizer: Any) -> tuple[str, str, str]:
    """(before an input, between input and answer, behind an answer), read off rendered conversations.

    A system message, which some templates put first of their own, is none of them: it is left out.
    """
    user, answer = {"role": "user", "content": _USER}, {"role": "assistant", "content": _ANSWER}

    def rendered(turns: list[dict[str, str]], more: bool) -> str:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=more))

    whole, closed = rendered([user, answer, user], True), rendered([user, answer], False)
    closing = closed.partition(_ANSWER)[2]
    between = whole.partition(_ANSWER)[2].partition(_USER)[0]
    answering = whole.rpartition(_USER)[2]
    if _ANSWER not in whole or not between.startswith(closing):
        raise PromptError(
            "the chat template renders a turn differently where another follows; its turns cannot be told apart."
        )
    return between[len(closing) :], answering, closing
