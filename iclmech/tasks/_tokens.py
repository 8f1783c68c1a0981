"""Text to token ids, piece by piece, with anything that has a tokenizer.

A prompt is tokenised in pieces (template, text, label word, separator) whose ids are joined, so that spans are exact and
the same piece has the same ids in every setting. Two traps lie here:

* *The leading space.* GPT-2 and its kin write " word" as one token, so a space belongs to the front of the piece that
  follows it, never to the end of the one before. Pieces arrive here with their space in front.
* *The tokenizer's own space.* SentencePiece tokenizers (Llama, T5) put a space before whatever they are given. They are
  recognised by `tokenize("x x") == 2 * tokenize("x")`. Their pieces are tokenised after a newline whose ids are taken off
  again, so that no space is invented (before a colon, say); where a newline merges with what follows it, a piece that
  brings a space gives it up, so that none is doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iclmech._base import PromptError

EOS_SEPARATOR = "<eos>"
"""As a separator: the tokenizer's end-of-text token (BOS where there is none), not the five characters."""


class PieceTokenizer:
    """Token ids of single pieces of text, with a memory. `of` makes one from a model or a tokenizer.

    Args:
        tokenize: text -> token ids, without special tokens.
        bos: id that starts every sequence.
        eos: end-of-text id, or None.
        unk: id of unknown words, or None.
        n_ctx: length of the window in tokens, or None when it has none.
        name: for error texts.
        read: token id -> how it reads, for figures and reprs.
    """

    def __init__(
        self,
        tokenize: Callable[[str], Sequence[int]],
        *,
        bos: int,
        eos: int | None = None,
        unk: int | None = None,
        n_ctx: int | None = None,
        name: str = "the tokenizer",
        read: Callable[[int], str] = str,
    ) -> None:
        self._tokenize, self._read = tokenize, read
        self.bos, self.eos, self.unk, self.n_ctx, self.name = bos, eos, unk, n_ctx, name
        self._known: dict[tuple[str, bool], list[int]] = {}
        self._strings: dict[int, str] = {}
        one = self._raw("x")
        self.adds_space = bool(one) and self._raw("x x") == one * 2
        self._newline = self._raw("\n")

    @classmethod
    def of(cls, model: Any, n_ctx: int | None = None) -> PieceTokenizer:
        """From an `ICLModel` (anything with `.tokenize` and `.bos`), a transformers tokenizer, or a `PieceTokenizer`.

        Args:
            model: where the tokenizer comes from. A tokenizer without BOS gives its EOS in that place.
            n_ctx: window to use in place of the model's own (the smaller of the two counts).

        Raises:
            PromptError: no tokenizer, neither BOS nor EOS, or a window that is not positive.
        """
        if n_ctx is not None and n_ctx < 1:
            raise PromptError(
                f"got n_ctx={n_ctx}; the window must have at least 1 token. Leave it out for the model's own."
            )
        if isinstance(model, PieceTokenizer):
            made = cls(
                model._tokenize,
                bos=model.bos,
                eos=model.eos,
                unk=model.unk,
                n_ctx=model.n_ctx,
                name=model.name,
                read=model._read,
            )
        elif hasattr(model, "encode") and hasattr(model, "eos_token_id"):
            made = cls._of_tokenizer(model)
        elif hasattr(model, "tokenize") and hasattr(model, "bos"):
            made = cls._of_model(model)
        else:
            raise PromptError(
                f"got {type(model).__name__} as the model; expected an ICLModel or a transformers tokenizer. "
                "Load a model with iclmech.load_model(name)."
            )
        if n_ctx is not None:
            made.n_ctx = n_ctx if made.n_ctx is None else min(n_ctx, made.n_ctx)
        return made

    @classmethod
    def _of_model(cls, model: Any) -> PieceTokenizer:
        tokenizer = getattr(model, "tokenizer", None)
        return cls(
            model.tokenize,
            bos=int(model.bos),
            eos=getattr(tokenizer, "eos_token_id", None),
            unk=_unknown(tokenizer),
            n_ctx=getattr(getattr(model, "shape", None), "n_ctx", None),
            name=str(getattr(model, "name", type(model).__name__)),
            read=_reader(tokenizer),
        )

    @classmethod
    def _of_tokenizer(cls, tokenizer: Any) -> PieceTokenizer:
        name = str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
        eos = tokenizer.eos_token_id
        bos = eos if getattr(tokenizer, "bos_token_id", None) is None else tokenizer.bos_token_id
        if bos is None:
            raise PromptError(
                f"{name} has neither a BOS nor an EOS token; every prompt must start with one. "
                "Set tokenizer.bos_token to a token of the vocabulary."
            )
        limit = getattr(tokenizer, "model_max_length", None)
        return cls(
            lambda text: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True, verbose=False),
            bos=int(bos),
            eos=eos,
            unk=_unknown(tokenizer),
            n_ctx=limit if isinstance(limit, int) and limit < 10**9 else None,  # transformers writes 1e30 for "unknown"
            name=name,
            read=_reader(tokenizer),
        )

    def _raw(self, text: str) -> list[int]:
        return [int(i) for i in self._tokenize(text)] if text else []

    def ids(self, piece: str, start: bool = False) -> list[int]:
        """Token ids of one piece. `start`: it stands first in its sequence, so the tokenizer's own space may stay.

        Raises:
            PromptError: the piece cannot be encoded (a lone surrogate).
        """
        key = (piece, start)
        if key not in self._known:
            try:
                self._known[key] = self._encode(piece, start)
            except (UnicodeError, TypeError) as error:
                raise PromptError(
                    f"{self.name} cannot tokenise {piece[:80]!r} ({error}); expected valid Unicode text. "
                    "Remove lone surrogates from the text."
                ) from error
        return list(self._known[key])

    def _encode(self, piece: str, start: bool) -> list[int]:
        if not self.adds_space or start:
            return self._raw(piece)
        n = len(self._newline)
        after_newline = self._raw("\n" + piece)
        if after_newline[:n] == self._newline:
            return after_newline[n:]
        return self._raw(piece.removeprefix(" ")) or self._raw(piece)

    def label(self, word: str) -> list[int]:
        """Token ids of a label word as it stands in a prompt: after one space."""
        return self.ids(" " + word)

    def separator(self, separator: str) -> list[int]:
        """Token ids of a separator; `EOS_SEPARATOR` is the end-of-text token, "" is nothing."""
        if separator == EOS_SEPARATOR:
            return [self.bos if self.eos is None else int(self.eos)]
        return self.ids(separator)

    def strings(self, tokens: Sequence[int]) -> dict[int, str]:
        """How each of these token ids reads, a leading space included."""
        for token in set(tokens) - self._strings.keys():
            self._strings[token] = self._read(token)
        return {token: self._strings[token] for token in sorted(set(tokens))}


def _unknown(tokenizer: Any) -> int | None:
    """The id of unknown words, where it is not also the end of text (as GPT-2 has it)."""
    unk = getattr(tokenizer, "unk_token_id", None)
    return None if unk == getattr(tokenizer, "eos_token_id", None) else unk


def _reader(tokenizer: Any) -> Callable[[int], str]:
    """Token id -> text. `decode` alone loses the leading space of SentencePiece tokens."""

    def read(token: int) -> str:
        if not hasattr(tokenizer, "convert_ids_to_tokens"):
            return str(token)
        piece = tokenizer.convert_ids_to_tokens(token)
        if isinstance(piece, str) and piece.startswith("▁"):
            return piece.replace("▁", " ")
        return str(tokenizer.decode([token]))

    return read
