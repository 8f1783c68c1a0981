from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from iclmech._base import PromptError
from iclmech.tasks import EOS_SEPARATOR, PieceTokenizer

from ._tokenizers import byte_level


def test_only_tokenizers_that_bring_a_space_are_said_to(tokenizers: dict[str, Any]) -> None:
    found = {name: PieceTokenizer.of(tokenizer).adds_space for name, tokenizer in tokenizers.items()}
    assert found == {
        "byte_level": False,
        "words": True,
        "metaspace": True,
    }  # words: white space is nothing, so nothing is lost


def test_joined_pieces_of_a_metaspace_tokenizer_equal_the_whole(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["metaspace"]
    pieces = PieceTokenizer.of(tokenizer)
    joined = [
        *pieces.ids("Film:", start=True),
        *pieces.ids(" a fine film"),
        *pieces.ids("\nSent:"),
        *pieces.ids(" fine"),
    ]
    assert joined == tokenizer.encode("Film: a fine film\nSent: fine", add_special_tokens=False)
    assert tokenizer.convert_ids_to_tokens(pieces.ids(".")) == ["."]  # no space is invented
    assert tokenizer.convert_ids_to_tokens(pieces.label("a")) == ["▁a"]  # nor doubled


def test_joined_pieces_of_a_byte_level_tokenizer_equal_the_whole(bpe: Any) -> None:
    pieces = PieceTokenizer.of(bpe)
    joined = [
        *pieces.ids("Review:"),
        *pieces.ids(" a fine film"),
        *pieces.ids("\nSentiment:"),
        *pieces.ids(" positive"),
    ]
    assert joined == bpe.encode("Review: a fine film\nSentiment: positive", add_special_tokens=False)


def test_no_space_is_doubled_where_newlines_merge() -> None:
    def tokenize(text: str) -> list[int]:  # a space before everything; a newline and the letter after it are one token
        text = (" " + text).replace("\n ", "\n")
        return [hash(part) for part in re.findall(r"\n.| ?[^\n ]| |\n", text)]

    pieces = PieceTokenizer(tokenize, bos=0)
    assert pieces.adds_space
    assert tokenize(" a") != tokenize("a")
    assert pieces.ids(" a") == tokenize("a") != tokenize("\n a")[-1:]


def test_stories_tokenizer(stories: Any) -> None:
    pieces = PieceTokenizer.of(stories)
    assert pieces.adds_space
    assert pieces.n_ctx == 512
    assert stories.convert_ids_to_tokens(pieces.ids("\n")) == ["<0x0A>"]
    assert stories.convert_ids_to_tokens(pieces.ids("\nLabel:"))[0] == "<0x0A>"
    assert stories.decode(pieces.ids(" it's")) == stories.decode(pieces.ids("it's", start=True))


def test_special_tokens_inside_a_text_are_text(bpe: Any) -> None:
    pieces = PieceTokenizer.of(bpe)
    assert bpe.eos_token_id in bpe.encode("a <eos> b", add_special_tokens=False)
    assert bpe.eos_token_id not in pieces.ids("a <eos> b")


def test_bos_falls_back_to_eos_and_neither_is_refused() -> None:
    without_bos = byte_level(bos_token=None)
    assert PieceTokenizer.of(without_bos).bos == without_bos.eos_token_id
    with pytest.raises(PromptError, match="neither a BOS nor an EOS"):
        PieceTokenizer.of(byte_level(bos_token=None, eos_token=None))


def test_separators(bpe: Any) -> None:
    pieces = PieceTokenizer.of(bpe)
    assert pieces.separator(EOS_SEPARATOR) == [bpe.eos_token_id]
    assert pieces.separator("") == []
    assert pieces.separator("\n") == bpe.encode("\n")
    assert PieceTokenizer.of(byte_level(eos_token=None)).separator(EOS_SEPARATOR) == [bpe.bos_token_id]


def test_a_model_is_anything_with_tokenize_and_bos(bpe: Any) -> None:
    model = SimpleNamespace(tokenize=lambda text: bpe.encode(text), bos=7, shape=SimpleNamespace(n_ctx=33), name="mine")
    pieces = PieceTokenizer.of(model)
    assert (pieces.bos, pieces.n_ctx, pieces.name) == (7, 33, "mine")
    assert pieces.ids(" a film") == bpe.encode(" a film")
    assert PieceTokenizer.of(model, n_ctx=20).n_ctx == 20
    assert PieceTokenizer.of(model, n_ctx=50).n_ctx == 33
    assert PieceTokenizer.of(pieces, n_ctx=5).n_ctx == 5


def test_anything_else_is_refused(bpe: Any) -> None:
    with pytest.raises(PromptError, match="got str as the model"):
        PieceTokenizer.of("gpt2")
    with pytest.raises(PromptError, match="n_ctx=0"):
        PieceTokenizer.of(bpe, n_ctx=0)


def test_a_lone_surrogate_is_named(bpe: Any) -> None:
    with pytest.raises(PromptError, match="lone surrogates"):
        PieceTokenizer.of(bpe).ids("a \ud800 b")


def test_ids_are_copies(bpe: Any) -> None:
    pieces = PieceTokenizer.of(bpe)
    pieces.ids(" film").append(0)
    assert pieces.ids(" film") == bpe.encode(" film")


def test_token_strings_keep_leading_spaces(tokenizers: dict[str, Any]) -> None:
    for kind in ("byte_level", "metaspace"):
        pieces = PieceTokenizer.of(tokenizers[kind])
        ids = pieces.ids(" a fi")
        strings = pieces.strings(ids)
        assert "".join(strings[i] for i in ids) == " a fi", kind
