from __future__ import annotations

from typing import Any

import pytest

from iclmech._base import PromptError
from iclmech.tasks import PieceTokenizer
from iclmech.tasks._label_tokens import encode_labels, shared_start


def test_one_or_several_tokens(bpe: Any) -> None:
    ids = encode_labels(["positive", "unheard-of"], PieceTokenizer.of(bpe))
    assert ids == [bpe.encode(" positive"), bpe.encode(" unheard-of")]
    assert len(ids[0]) < len(ids[1])


def test_words_that_cannot_be_told_apart(tokenizers: dict[str, Any]) -> None:
    pieces = PieceTokenizer.of(tokenizers["byte_level"])
    with pytest.raises(PromptError, match="'xq' is, in tokens, the beginning of 'xqz'"):
        encode_labels(["a", "xqz", "xq"], pieces)
    words = PieceTokenizer.of(tokenizers["words"])
    with pytest.raises(PromptError, match="'unheard' is not in the vocabulary"):
        encode_labels(["positive", "unheard"], words)
    lower = PieceTokenizer(lambda text: [ord(c) for c in text.casefold()], bos=0)
    with pytest.raises(PromptError, match="'Yes' has the same tokens as 'yes'"):
        encode_labels(["Yes", "no", "yes"], lower)
    with pytest.raises(PromptError, match="'b' is not in the vocabulary"):
        encode_labels(["a", "b"], PieceTokenizer(lambda text: [1] * text.count("a"), bos=0))


def test_a_shared_first_token_is_noted() -> None:
    assert shared_start(["7", "8"], [[1, 2], [1, 3]]) is not None
    assert shared_start(["7", "x"], [[1, 2], [4]]) is None
    assert shared_start([], []) is None
