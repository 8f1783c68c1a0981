"""The tokenizer: whole words, exact round trips, the same ids as the fast path of the generator."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from iclmech.mini import MINI_TASKS, build_tokenizer, mini_task_spec, piece_ids, vocabulary, word_id
from iclmech.mini._lexicon import all_words
from iclmech.mini._training_sequences import GENERAL_TEMPLATES, TEMPLATES

TOKENIZER = build_tokenizer()


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False).ids


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_comes_back_unchanged(text: str) -> None:
    if any(special in text for special in ("<bos>", "<eos>", "<pad>")):
        return
    assert TOKENIZER.decode(ids(text), skip_special_tokens=False) == text


def test_every_word_with_its_space_is_one_token() -> None:
    for word in all_words():
        assert ids(f" {word}") == [word_id(word)], word


def test_words_do_not_melt_into_longer_words() -> None:
    assert len(ids(" carpets")) > 1
    assert TOKENIZER.decode(ids(" carpets")) == " carpets"


def test_pieces_are_split_as_the_tokenizer_splits_them() -> None:
    pairs = [*GENERAL_TEMPLATES, *(pair for pairs in TEMPLATES.values() for pair in pairs)]
    for piece in {piece for pair in pairs for piece in pair} | {"\n", "\n\n", " ->"}:
        assert piece_ids(piece) == ids(piece), piece


def test_texts_of_the_tasks_tokenise_word_by_word() -> None:
    for name in MINI_TASKS:
        for row in mini_task_spec(name).test[:40]:
            assert ids(" " + row["text"]) == [word_id(word) for word in row["text"].split()]


def test_ids_are_stable() -> None:
    assert vocabulary()[:3] == ("<bos>", "<eos>", "<pad>")
    assert len(set(vocabulary())) == len(vocabulary()) == TOKENIZER.get_vocab_size()
    assert [TOKENIZER.token_to_id(token) for token in vocabulary()] == list(range(len(vocabulary())))
