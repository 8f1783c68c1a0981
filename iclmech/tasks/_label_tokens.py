"""Are label words told apart by their tokens?"""

from __future__ import annotations

from collections.abc import Sequence

from iclmech._base import PromptError

from ._tokens import PieceTokenizer


def encode_labels(words: Sequence[str], tokenizer: PieceTokenizer) -> list[list[int]]:
    """Token ids of each label word after a space, checked: known, distinct, and none the beginning of another.

    Raises:
        PromptError: a word has no tokens or an unknown one, or two cannot be told apart; the words are named.
    """
    ids = [tokenizer.label(word) for word in words]
    for word, tokens in zip(words, ids, strict=True):
        if not tokens or tokenizer.unk in tokens:
            raise PromptError(
                f"the label word {word!r} is not in the vocabulary of {tokenizer.name} (after a space its tokens are {tokens}); "
                "expected words that the tokenizer knows. Choose another word."
            )
    for i, first in enumerate(ids):
        for j, second in enumerate(ids):
            if i != j and second[: len(first)] == first and (first != second or i < j):
                how = "has the same tokens as" if first == second else "is, in tokens, the beginning of"
                raise PromptError(
                    f"the label word {words[i]!r} {how} {words[j]!r} under {tokenizer.name} ({first} and {second}); expected "
                    "words that can be told apart. Choose another word for one of the two."
                )
    return ids


def shared_start(words: Sequence[str], ids: Sequence[Sequence[int]]) -> str | None:
    """A note where all label words start with the same token, as when a tokenizer cuts " 7" into a space and a digit."""
    if len(ids) < 2 or len({tokens[0] for tokens in ids}) > 1:
        return None
    return (
        f"The label words {list(words)} all start with the same token ({ids[0][0]}), so states at the first token of a label do "
        "not tell them apart."
    )
