"""The evaluation tasks of the world, as plain records. `iclmech.tasks` makes `Task` objects of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from random import Random

from iclmech._base import TaskError

from . import _lexicon as lex
from ._world import Episode, _sources, world_seed

N_TRAIN, N_TEST = 1536, 768


@dataclass(frozen=True)
class MiniTaskSpec:
    """A task of icl-mini's world.

    Attributes:
        name, description: as listed in `MINI_TASKS`.
        held_out: whether its labels or its combination of classes never occurred in training.
        train, test: records with keys ``text``, ``label`` (a class name) and ``latent`` (what decides the label: the
            latent class, or ``"ambiguous"`` where only this task's own convention does).
        template: with ``{text}``; the label follows.
        label_names: class names, in order.
        label_words: the word written for each class; replaced by ``episode(seed)`` where that is not None.
        episode: redraws the label words, deterministic in its seed.
        label_pool: the words that it draws from.
    """

    name: str
    description: str
    held_out: bool
    train: list[dict[str, str]]
    test: list[dict[str, str]]
    template: str
    label_names: list[str]
    label_words: list[str]
    episode: Callable[[int], list[str]] | None = None
    label_pool: tuple[str, ...] = ()


@dataclass(frozen=True)
class MiniTaskInfo:
    """A line of `MINI_TASKS`. `labels`: "natural", "flipped", "symbols" or "held symbols"."""

    description: str
    family: str
    classes: tuple[int, ...]
    template: str
    labels: str
    held_out: bool = False


_REVIEW, _ARTICLE, _INPUT = "Review: {text}\nSentiment:", "Article: {text}\nTopic:", "Input: {text}\nType:"
_CLAIM, _ITEM, _TEXT = "Claim: {text}\nAnswer:", "Item: {text}\nGroup:", "Text: {text}\nLabel:"

MINI_TASKS: dict[str, MiniTaskInfo] = {
    "mini/sentiment": MiniTaskInfo("opinions, negative or positive; half of them only by this task's own slang", "sentiment", (0, 1), _REVIEW, "natural"),
    "mini/sentiment-5": MiniTaskInfo("opinions on five levels", "sentiment-5", (0, 1, 2, 3, 4), _REVIEW, "natural"),
    "mini/topic": MiniTaskInfo("news: sports, business, technology, politics", "topic", (0, 1, 2, 3), _ARTICLE, "natural"),
    "mini/subjectivity": MiniTaskInfo("objective or subjective statements", "subjectivity", (0, 1), _INPUT, "natural"),
    "mini/entailment": MiniTaskInfo("does the second sentence follow: yes, no, maybe", "entailment", (0, 1, 2), _CLAIM, "natural"),
    "mini/cluster": MiniTaskInfo("everyday nouns: animal, furniture, bird, drink", "cluster", (0, 4, 8, 12), _ITEM, "natural"),
    "mini/sentiment-flipped": MiniTaskInfo("sentiment with the two label words exchanged", "sentiment", (0, 1), _REVIEW, "flipped"),
    "mini/sentiment-symbols": MiniTaskInfo("sentiment with random trained symbols as labels", "sentiment", (0, 1), _REVIEW, "symbols"),
    "mini/topic-symbols": MiniTaskInfo("four topics with random trained symbols", "topic", (0, 1, 2, 3), _ARTICLE, "symbols"),
    "mini/held-sentiment": MiniTaskInfo("sentiment, label words never seen as labels", "sentiment", (0, 1), _REVIEW, "held symbols", True),
    "mini/held-topic": MiniTaskInfo("four topics, label words never seen as labels", "topic", (0, 1, 2, 3), _ARTICLE, "held symbols", True),
    "mini/held-subjectivity": MiniTaskInfo("subjectivity, label words never seen as labels", "subjectivity", (0, 1), _INPUT, "held symbols", True),
    "mini/held-entailment": MiniTaskInfo("entailment, label words never seen as labels", "entailment", (0, 1, 2), _CLAIM, "held symbols", True),
    "mini/held-pair": MiniTaskInfo("animal or fruit, never together in training; held label words", "cluster", (0, 1), _ITEM, "held symbols", True),
    "mini/held-quad": MiniTaskInfo("bird, fish, metal, instrument, never together in training; held label words", "cluster", (8, 9, 10, 11), _ITEM, "held symbols", True),
    "mini/held-words": MiniTaskInfo("two arbitrary sets of words that were never class words; held label words", "sets", (0, 1), _TEXT, "held symbols", True),
}  # fmt: skip
"""Name -> description, family, latent classes, template, kind of labels, and whether it is held out from training."""


def _names(family: str, classes: tuple[int, ...]) -> list[str]:
    if family == "sets":
        return ["first", "second"]
    names = {"entailment": ("entailment", "contradiction", "neutral")}.get(family) or lex.LABELS[family][0]
    return [names[c] for c in classes]


def _pools(info: MiniTaskInfo) -> list[tuple[str, ...]]:
    if info.family == "sets":
        return [lex.HELD_WORDS[:4], lex.HELD_WORDS[4:8]]
    return [tuple(_sources(info.family)[c]) for c in info.classes]


def _records(name: str, info: MiniTaskInfo, seed: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    family_seed = "mini/task/" + info.family + str(info.classes)
    random = world_seed(seed, family_seed)
    names = _names(info.family, info.classes)
    episode = Episode(info.family, info.classes, tuple(names), "natural", _pools(info))
    if info.family.startswith("sentiment"):
        chosen = random.sample(lex.AMBIGUOUS, 12)
        episode.ambiguous = {word: i % len(names) for i, word in enumerate(chosen)}
        episode.ambiguous_share = 0.5 if info.family == "sentiment" else 0.25
    rows, seen = [], set()
    scale = 2 if info.family == "sets" else 1  # eight words make fewer texts
    while len(rows) < (N_TRAIN + N_TEST) // scale:
        label = len(rows) % len(names)
        item = episode.item(random, label)
        if item.words in seen:
            continue
        seen.add(item.words)
        latent = names[label] if item.lexical or info.family == "sets" else "ambiguous"
        rows.append({"text": " ".join(item.words), "label": names[label], "latent": latent})
    random.shuffle(rows)
    return rows[: N_TRAIN // scale], rows[N_TRAIN // scale :]


def _redraw(pool: tuple[str, ...], n: int, purpose: str, seed: int) -> list[str]:
    return world_seed(seed, purpose).sample(pool, n)


@cache
def mini_task_spec(name: str, seed: int = 0) -> MiniTaskSpec:
    """The records, template and label words of a task of icl-mini's world (the same for every caller).

    Args:
        name: a key of `MINI_TASKS`.
        seed: draws the records; 0 is the shipped task. Train and test texts never coincide.

    Raises:
        TaskError: no task of that name.
    """
    if name not in MINI_TASKS:
        raise TaskError(f"task {name!r} is not in icl-mini's world; expected one of {sorted(MINI_TASKS)}.")
    info = MINI_TASKS[name]
    train, test = _records(name, info, seed)
    names = _names(info.family, info.classes)
    episode, words, pool = None, names, ()
    if info.labels == "natural" and info.family == "entailment":
        words = [lex.LABELS["entailment"][0][c] for c in info.classes]
    elif info.labels == "flipped":
        words = names[::-1]
    elif info.labels != "natural":
        pool = lex.HELD_SYMBOLS if info.labels == "held symbols" else lex.SYMBOLS
        episode = partial(_redraw, pool, len(names), f"mini/labels/{name}")
        words = episode(0)
    return MiniTaskSpec(
        name, info.description, info.held_out, train, test, info.template, names, list(words), episode, pool
    )


def random_contexts(random: Random, rows: list[dict[str, str]], k: int) -> list[dict[str, str]]:
    """``k`` records drawn without replacement, in random order."""
    return random.sample(rows, k)
