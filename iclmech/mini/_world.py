"""The world that icl-mini learns from: episodes of few-shot prompts over latent word classes.

An *episode* is one task: a family, its classes, the label words, a template, and a source of items. A training sequence
is one episode written out until the sequence is full. The knobs are those of Chan et al. 2022 (arXiv 2205.05055):
burstiness, Zipf exponent, share of random labels, number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

from iclmech._base import TaskError, np_rng

from . import _lexicon as lex
from ._texts import PATTERNS, fill

FAMILIES: tuple[str, ...] = (
    "sentiment",
    "sentiment-5",
    "topic",
    "subjectivity",
    "entailment",
    "cluster",
    "sets",
    "recall",
)


@dataclass(frozen=True)
class WorldConfig:
    """Knobs of the world; shares are probabilities.

    Attributes:
        bursty: share of episodes that draw from 3 to 8 words per class (the others use the whole class).
        zipf: exponent of the word frequencies within a class, 0 = uniform (rank = order in the lexicon).
        natural, permuted, symbols: shares of the kinds of label words; the rest are random words.
        ambiguous: share of sentiment items that carry only words whose class is redrawn for every episode.
        label_noise: share of wrong labels in episodes with natural or permuted labels.
        easy: share of episodes with one or two words per class and bare texts (a curriculum).
        max_classes: most classes in an episode.
        scatter: put fillers between the words of the bare recall task as well.
        families: weights of the families, in the order of `FAMILIES`.
    """

    bursty: float = 0.5
    zipf: float = 0.0
    natural: float = 0.25
    permuted: float = 0.01
    symbols: float = 0.64
    ambiguous: float = 0.5
    label_noise: float = 0.1
    easy: float = 0.1
    max_classes: int = 5
    scatter: bool = False
    families: tuple[float, ...] = (0.2, 0.08, 0.18, 0.12, 0.15, 0.2, 0.07, 0.0)

    def __post_init__(self) -> None:
        shares = [self.bursty, self.natural, self.permuted, self.symbols, self.ambiguous, self.label_noise, self.easy]
        if any(not 0 <= share <= 1 for share in shares) or self.natural + self.permuted + self.symbols > 1 + 1e-9:
            raise TaskError(
                f"WorldConfig: shares must lie in [0, 1] and natural + permuted + symbols must not exceed 1, got {self}. "
                "Lower the shares of label kinds."
            )
        if len(self.families) != len(FAMILIES) or self.zipf < 0 or not 2 <= self.max_classes <= 8:
            raise TaskError(
                f"WorldConfig: expected {len(FAMILIES)} family weights, zipf >= 0 and 2 <= max_classes <= 8, got {self}."
            )


@dataclass(frozen=True)
class Item:
    """One example: its words, its latent class, and what must have been seen before for its label to be inferable."""

    words: tuple[str, ...]
    label: int
    key: object
    lexical: bool


@dataclass
class Episode:
    """One task. `pools[c]` are the words of class c, `ambiguous` maps a word to the class that this episode gave it."""

    family: str
    classes: tuple[int, ...]
    label_words: tuple[str, ...]
    kind: str
    pools: list[tuple[str, ...]]
    ambiguous: dict[str, int] = field(default_factory=dict)
    ambiguous_share: float = 0.0
    noise: float = 0.0
    easy: bool = False
    zipf: float = 0.0
    scatter: bool = False

    def item(self, random: Random, label: int | None = None) -> Item:
        """Draw one example (of class ``label`` if given)."""
        label = random.randrange(len(self.classes)) if label is None else label
        if self.family == "recall":
            key = random.choice(self.pools[label])
            words = _scatter(random, key.split()) if self.scatter else tuple(key.split())
            return Item(words, label, key, False)
        if self.family == "entailment":
            return Item(_pair(random, self.classes[label], self.easy), label, label, True)
        if self.easy:
            words = random.choices(self.pools[label], k=random.choice((1, 1, 2)))
            return Item(_scatter(random, words), label, label, True)
        pattern = random.choice(PATTERNS[self.family])
        if self.ambiguous and random.random() < self.ambiguous_share:
            pool = [word for word, owner in self.ambiguous.items() if owner == label]
            if pool:
                words, key = fill(random, pattern, pool, 0.0)
                return Item(words, label, key, False)
        words, first = fill(random, pattern, self.pools[label], self.zipf)
        return Item(words, label, first if self.family == "sets" else label, self.family != "sets")


def _scatter(random: Random, words: list[str]) -> tuple[str, ...]:
    """The words among up to three fillers (often none)."""
    for _ in range(random.choice((0, 0, 1, 2, 3))):
        words.insert(random.randrange(len(words) + 1), random.choice(_FILLERS))
    return tuple(words)


def _pair(random: Random, relation: int, easy: bool) -> tuple[str, ...]:
    """A premise and a hypothesis: relation 0 entails, 1 contradicts, 2 is neutral. Surface cues are not exclusive."""
    first = random.randrange(len(lex.STATES))
    pole = random.randrange(2)
    premise = random.choice(lex.STATES[first][pole])
    negated = not easy and random.random() < 0.3
    if relation == 2:
        other = random.randrange(len(lex.STATES) - 1)
        hypothesis = random.choice(random.choice(lex.STATES[other + (other >= first)]))
    else:
        same = (relation == 0) != negated
        hypothesis = random.choice(lex.STATES[first][pole if same else 1 - pole])
    if easy:
        return (premise, hypothesis)
    thing = random.choice(lex.THINGS)
    middle = ("is", "not") if negated else ("is",)
    return ("the", thing, "is", premise, random.choice((".", "so")), "the", thing, *middle, hypothesis)


@cache
def _sources(family: str) -> tuple[tuple[str, ...], ...]:
    """The full word pools of a family's latent classes."""
    negative, positive = lex.SENTIMENT[0] + lex.SENTIMENT[1], lex.SENTIMENT[3] + lex.SENTIMENT[4]
    return {
        "sentiment": (negative, positive),
        "sentiment-5": lex.SENTIMENT,
        "topic": tuple(lex.TOPICS.values()),
        "subjectivity": (lex.OBJECTIVE, lex.SUBJECTIVE),
        "entailment": ((), (), ()),
        "cluster": tuple(lex.CLUSTERS.values()),
    }[family]


def held_pair(first: int, second: int) -> bool:
    """Whether two neutral clusters never occur together in training (they are in the same block of four)."""
    return first != second and first // 4 == second // 4


def _draw_classes(random: Random, family: str, max_classes: int) -> tuple[int, ...]:
    n = len(_sources(family))
    if n <= 2:
        return tuple(random.sample(range(n), n)) if random.random() < 0.5 else tuple(range(n))
    most = min(n, max_classes)
    if family == "entailment":
        return (0, 1) if random.random() < 0.3 else (0, 1, 2)
    wanted = random.choice((2, 2, 3, 4, 5)) if family != "sentiment-5" else random.choice((3, 5, 5))
    chosen: list[int] = []
    for candidate in random.sample(range(n), n):
        if len(chosen) < min(wanted, most) and not (
            family == "cluster" and any(held_pair(candidate, other) for other in chosen)
        ):
            chosen.append(candidate)
    return tuple(sorted(chosen)) if family == "sentiment-5" else tuple(chosen)


def _draw_labels(
    random: Random, family: str, classes: tuple[int, ...], config: WorldConfig
) -> tuple[tuple[str, ...], str]:
    draw = random.random()
    if family in lex.LABELS and draw < config.natural + config.permuted:
        names = random.choice(lex.LABELS[family])
        words = [names[c] for c in classes]
        if draw < config.natural:
            return tuple(words), "natural"
        shift = random.randrange(1, len(words))
        return tuple(words[shift:] + words[:shift]), "permuted"
    if family not in lex.LABELS or draw < config.natural + config.permuted + config.symbols:
        return tuple(random.sample(lex.SYMBOLS, len(classes))), "symbols"
    return tuple(random.sample(_OPEN_WORDS, len(classes))), "words"


_FILLERS: tuple[str, ...] = (*lex.FUNCTION, *lex.SUBJECTS, *lex.THINGS, *lex.NAMES, *lex.VERBS)
_OPEN_WORDS: tuple[str, ...] = tuple(word for word in lex.content_words() if word not in lex.HELD_WORDS)


def draw_episode(random: Random, config: WorldConfig | None = None, family: str | None = None) -> Episode:
    """Draw a task of the training distribution (``family`` fixes the family)."""
    config = config or WorldConfig()
    family = family or random.choices(FAMILIES, config.families)[0]
    if family in ("recall", "sets"):
        return _arbitrary(random, config, family)
    classes = _draw_classes(random, family, config.max_classes)
    labels, kind = _draw_labels(random, family, classes, config)
    easy = random.random() < config.easy
    pools = [tuple(_sources(family)[c]) for c in classes]
    if easy or random.random() < config.bursty:
        pools = [_subset(random, pool, *((1, 3) if easy else (3, 8)), config.zipf) for pool in pools]
    noise = config.label_noise if kind in ("natural", "permuted") else 0.0
    episode = Episode(family, classes, labels, kind, pools, noise=noise, easy=easy, zipf=config.zipf)
    if family in ("sentiment", "sentiment-5") and not easy and random.random() < 0.7:
        chosen = random.sample(lex.AMBIGUOUS, random.randint(4, 12))
        episode.ambiguous = {word: random.randrange(len(classes)) for word in chosen}
        episode.ambiguous_share = min(1.0, config.ambiguous / 0.7)
    return episode


def _subset(random: Random, pool: tuple[str, ...], low: int, high: int, zipf: float) -> tuple[str, ...]:
    if not pool:
        return pool
    return tuple(random.sample(pool, min(len(pool), random.randint(low, high))))


def _arbitrary(random: Random, config: WorldConfig, family: str) -> Episode:
    """Classes that share nothing: "recall" items are a word or two, "sets" are texts around words of arbitrary sets."""
    n = random.randint(3, 6) if family == "recall" else random.randint(2, max(2, min(4, config.max_classes)))
    size = random.choice((1, 2)) if family == "recall" else 1
    each = random.choice((1, 1, 1, 2)) if family == "recall" else random.randint(2, 5)
    words = random.sample(_OPEN_WORDS, n * size * each)
    pools = [
        tuple(" ".join(words[(c * each + i) * size : (c * each + i + 1) * size]) for i in range(each)) for c in range(n)
    ]
    labels = tuple(random.sample(lex.SYMBOLS, n))
    return Episode(
        family,
        tuple(range(n)),
        labels,
        "symbols",
        pools,
        easy=family == "recall",
        zipf=config.zipf,
        scatter=config.scatter,
    )


def world_seed(seed: int, purpose: str) -> Random:
    """A `random.Random` derived from ``seed`` and ``purpose``; it never touches global state."""
    return Random(int(np_rng(seed, purpose).integers(2**62)))


def wrong_label(random: Random, episode: Episode, label: int) -> int:
    """The label that is written: ``label``, or another one with the episode's share of noise."""
    if episode.noise and random.random() < episode.noise:
        return (label + random.randrange(1, len(episode.classes))) % len(episode.classes)
    return label


def check_words(words: Sequence[str]) -> None:
    """Refuse words that are not one token with a leading space.

    Raises:
        TaskError: at least one word is outside the vocabulary of the world.
    """
    unknown = sorted(set(words) - set(lex.all_words()))
    if unknown:
        raise TaskError(f"words {unknown} are not in icl-mini's world; expected words of iclmech.mini's lexicon.")
