"""Sentence patterns. A capital letter is a slot; everything else is a word of the world."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from . import _lexicon as lex

_SLOTS: dict[str, tuple[str, ...]] = {
    "S": lex.SUBJECTS, "T": lex.THINGS, "V": lex.VERBS, "N": lex.NAMES, "P": ("we", "they", "she", "he"),
    "R": ("very", "quite", "really", "rather", "so"), "L": ("was", "seemed", "felt", "looked", "is"),
}  # fmt: skip


def _patterns(*texts: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(text.split()) for text in texts)


_OPINIONS = _patterns(
    "the S L C", "the S L R C", "a C S", "a C and C S", "the S L C and C", "it L R C", "i found the S C",
    "N found the S R C", "this S L C , it L C", "P saw a R C S",
)  # fmt: skip

PATTERNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sentiment": _OPINIONS,
    "sentiment-5": _OPINIONS,
    "topic": _patterns(
        "the C V today", "a report on the C and the C", "news about a C", "the C V and the C V", "P V at the C",
        "N saw the C near the C", "the C V , so the C V", "one C and two C in the news",
    ),
    "subjectivity": _patterns(
        "N C the S", "P C the T today", "the S was C", "N C it and P C it", "the T was R C", "P C the S , so N C it",
        "it was C in the news", "the S and the T was C",
    ),
    "cluster": _patterns(
        "a C and a C", "the C near the T", "P saw the C today", "one C , two C", "N bought a C", "the C and the C V",
        "a C in the T", "N found one C near the C",
    ),
}  # fmt: skip
PATTERNS["sets"] = PATTERNS["cluster"]
"""Family -> patterns; ``C`` is the slot of a class word."""


def fill(random: Random, pattern: Sequence[str], pool: Sequence[str], zipf: float) -> tuple[tuple[str, ...], str]:
    """Fill a pattern; class slots draw from ``pool`` (rank weights r^-zipf). Returns the words and the first class word."""
    weights = [1.0 / (rank + 1) ** zipf for rank in range(len(pool))] if zipf else None
    words, key = [], ""
    for part in pattern:
        if part == "C":
            word = random.choices(pool, weights)[0] if weights else random.choice(pool)
            key = key or word
        else:
            word = random.choice(_SLOTS[part]) if part in _SLOTS else part
        words.append(word)
    return tuple(words), key
