"""Training sequences: episodes written out as token ids, with a loss weight for every token."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from . import _lexicon as lex
from ._vocabulary import piece_ids, special_id, vocabulary, word_id
from ._world import Episode, WorldConfig, draw_episode, wrong_label

TEMPLATES: dict[str, tuple[tuple[str, str], ...]] = {
    "sentiment": (("Review:", "\nSentiment:"), ("Sentence:", " Label:"), ("Review:", " Sentiment:")),
    "topic": (("Article:", "\nTopic:"), ("Article:", " Answer:"), ("Text:", "\nTopic:")),
    "subjectivity": (("Input:", "\nType:"), ("Input:", " Type:"), ("Statement:", "\nKind:")),
    "entailment": (("Claim:", "\nAnswer:"), ("Claim:", " Answer:"), ("Statement:", "\nAnswer:")),
    "cluster": (("Item:", "\nGroup:"), ("Words:", "\nClass:"), ("Note:", "\nGroup:")),
}
"""(before the text, after the text) by family; every family also uses the general ones."""
GENERAL_TEMPLATES: tuple[tuple[str, str], ...] = (
    ("Text:", "\nLabel:"), ("Input:", "\nOutput:"), ("Q:", "\nA:"), ("", ":"), ("", " ->"),
)  # fmt: skip


@dataclass(frozen=True)
class LossWeights:
    """Weights of the cross-entropy of a token, by what it is.

    Attributes:
        label: a label that earlier demonstrations tell.
        in_weights: a natural label word that nothing before it tells, but the words of the text do.
        unknowable: a label that cannot be known yet.
        text: any other token (texts, templates, separators).
        repeat: a token of a repeated sequence, from the second time on.
    """

    label: float = 1.0
    in_weights: float = 2.0
    unknowable: float = 0.05
    text: float = 0.02
    repeat: float = 0.15


@dataclass(frozen=True)
class MixtureConfig:
    """What a batch is made of: shares of random repeated sequences and of the bare recall task (a curriculum)."""

    repeat: float = 0.1
    recall: float = 0.05
    world: WorldConfig = field(default_factory=WorldConfig)


@cache
def _id_table() -> dict[str, int]:
    return {word: word_id(word) for word in lex.all_words()}


def _style(random: Random, episode: Episode) -> tuple[list[int], list[int], list[int]]:
    """Token ids before the text, after it, and of the separator."""
    if episode.easy and random.random() < 0.6:
        before, after = GENERAL_TEMPLATES[3]
    elif random.random() < 0.6 and episode.family in TEMPLATES:
        before, after = random.choice(TEMPLATES[episode.family])
    else:
        before, after = random.choice(GENERAL_TEMPLATES)
    draw = random.random()
    separator = piece_ids("\n") if draw < 0.85 else piece_ids("\n\n") if draw < 0.95 else [special_id("<eos>")]
    return piece_ids(before), piece_ids(after), separator


def episode_sequence(
    random: Random, episode: Episode, length: int, weights: LossWeights
) -> tuple[list[int], list[float]]:
    """Write an episode out until ``length`` tokens are full. The weight of token i is that of predicting it."""
    before, after, separator = _style(random, episode)
    table, known_labels = _id_table(), episode.kind in ("natural", "permuted")
    ids, loss = [special_id("<bos>")], [0.0]
    seen: set[object] = set()
    while len(ids) < length:
        item = episode.item(random)
        label = wrong_label(random, episode, item.label)
        body = [*before, *(table[word] for word in item.words), *after]
        ids += body
        loss += [weights.text] * len(body)
        named = known_labels and item.lexical and item.key not in seen
        ids.append(table[episode.label_words[label]])
        loss.append(weights.in_weights if named else weights.label if item.key in seen else weights.unknowable)
        ids += separator
        loss += [weights.text] * len(separator)
        seen.add(item.key)
    return ids[:length], loss[:length]


@cache
def _repeat_pools() -> tuple[tuple[int, ...], tuple[int, ...]]:
    words = tuple(word_id(word) for word in lex.all_words())
    return words, tuple(range(len(("<bos>", "<eos>", "<pad>")), len(vocabulary())))


def repeat_sequence(random: Random, length: int, weights: LossWeights) -> tuple[list[int], list[float]]:
    """BOS and one random sequence, repeated until ``length`` tokens are full."""
    pool = _repeat_pools()[random.random() < 0.3]
    n = random.randint(3, max(3, (length - 1) // 2))
    block = random.choices(pool, k=n)
    times = -(-(length - 1) // n)
    ids = [special_id("<bos>"), *(block * times)][:length]
    return ids, ([0.0] * (n + 1) + [weights.repeat] * length)[:length]


def sequence(
    random: Random, length: int, mixture: MixtureConfig, weights: LossWeights
) -> tuple[list[int], list[float]]:
    """One training sequence of ``length`` tokens and the loss weight of each token."""
    draw = random.random()
    if draw < mixture.repeat:
        return repeat_sequence(random, length, weights)
    family = "recall" if draw < mixture.repeat + mixture.recall else None
    return episode_sequence(random, draw_episode(random, mixture.world, family), length, weights)


def training_batch(
    random: Random, rows: int, length: int, mixture: MixtureConfig, weights: LossWeights
) -> tuple[Int[np.ndarray, "rows length"], Float[np.ndarray, "rows length"]]:
    """``rows`` training sequences as arrays of ids and of loss weights."""
    made: list[Any] = [sequence(random, length, mixture, weights) for _ in range(rows)]
    return np.array([ids for ids, _ in made], dtype=np.int64), np.array([loss for _, loss in made], dtype=np.float32)
