"""The statistics of the world, counted from what it generates."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from iclmech._base import TaskError
from iclmech.mini import FAMILIES, WorldConfig, _lexicon as lex, draw_episode, held_pair, world_seed
from iclmech.mini._training_sequences import (
    LossWeights,
    MixtureConfig,
    episode_sequence,
    repeat_sequence,
    sequence,
    training_batch,
)
from iclmech.mini._vocabulary import decode, word_id
from iclmech.mini._world import wrong_label

MIXTURE, WEIGHTS = MixtureConfig(), LossWeights()


def episodes(n: int, config: WorldConfig | None = None, family: str | None = None, seed: int = 0) -> list:
    random = world_seed(seed, "test")
    return [draw_episode(random, config, family) for _ in range(n)]


def test_no_word_has_two_classes() -> None:
    pools = [*lex.SENTIMENT, lex.AMBIGUOUS, *lex.TOPICS.values(), lex.OBJECTIVE, lex.SUBJECTIVE, *lex.CLUSTERS.values()]
    pools += [pole for pair in lex.STATES for pole in pair]
    pools += [lex.NAMES, lex.HELD_WORDS, lex.SUBJECTS, lex.THINGS, lex.VERBS, lex.FUNCTION, lex.label_words()]
    pools += [lex.SYMBOLS, lex.HELD_SYMBOLS, lex.TEMPLATE_WORDS]
    counts = Counter(word for pool in pools for word in pool)
    assert [word for word, count in counts.items() if count > 1] == []


def test_a_seed_decides_everything() -> None:
    one, two, other = (training_batch(world_seed(seed, "test"), 6, 96, MIXTURE, WEIGHTS) for seed in (1, 1, 2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])


def test_what_is_held_out_never_is_a_label_or_a_class_word() -> None:
    random = world_seed(3, "test")
    forbidden = {word_id(word) for word in (*lex.HELD_SYMBOLS, *lex.HELD_WORDS)}
    for episode in episodes(600):
        ids, _ = episode_sequence(random, episode, 96, WEIGHTS)
        assert not forbidden & set(ids)


def test_held_pairs_of_clusters_never_meet() -> None:
    met = [pair for e in episodes(800, family="cluster") for pair in combinations(e.classes, 2)]
    assert len(met) > 1000
    assert not any(held_pair(*pair) for pair in met)
    assert held_pair(0, 1)
    assert held_pair(8, 11)
    assert not held_pair(3, 4)
    assert not held_pair(5, 5)


def test_families_and_label_kinds_come_in_their_shares() -> None:
    config = WorldConfig()
    drawn = episodes(4000)
    shares = Counter(e.family for e in drawn)
    for family, weight in zip(FAMILIES, config.families, strict=True):
        assert shares[family] / 4000 == pytest.approx(weight, abs=0.03)
    named = [e for e in drawn if e.family != "sets"]
    kinds = Counter(e.kind for e in named)
    assert kinds["natural"] / len(named) == pytest.approx(config.natural, abs=0.03)
    assert kinds["permuted"] / len(named) == pytest.approx(config.permuted, abs=0.01)
    assert kinds["symbols"] / len(named) == pytest.approx(config.symbols, abs=0.03)


def test_every_number_of_classes_occurs() -> None:
    assert set(Counter(len(e.classes) for e in episodes(800))) == {2, 3, 4, 5}
    assert max(len(e.classes) for e in episodes(300, WorldConfig(max_classes=2))) <= 3  # entailment has three


def test_burstiness_narrows_the_words() -> None:
    def distinct(bursty: float) -> float:
        config = WorldConfig(bursty=bursty, easy=0.0)
        return float(np.mean([len(e.pools[0]) for e in episodes(200, config, "topic")]))

    assert distinct(1.0) < 8.1 < distinct(0.0) == 14


def test_zipf_makes_the_first_words_frequent() -> None:
    def share(zipf: float) -> float:
        config = WorldConfig(bursty=0.0, easy=0.0, zipf=zipf)
        random, found = world_seed(5, "test"), Counter()
        for episode in episodes(200, config, "topic"):
            found.update(word in {pool[0] for pool in episode.pools} for word in episode.item(random).words)
        return found[True] / found.total()

    assert share(1.5) > 3 * share(0.0) > 0


def test_ambiguous_words_keep_one_class_within_an_episode_and_change_between() -> None:
    owners: dict[str, set[int]] = {}
    for episode in episodes(300, WorldConfig(easy=0.0), "sentiment"):
        for word, label in episode.ambiguous.items():
            owners.setdefault(word, set()).add(label)
    assert set(owners) == set(lex.AMBIGUOUS)
    assert all(classes == {0, 1} for classes in owners.values())


def test_noise_changes_labels_of_natural_episodes_only() -> None:
    random = world_seed(7, "test")
    natural = next(e for e in episodes(200, family="topic") if e.kind == "natural")
    symbols = next(e for e in episodes(200, family="topic") if e.kind == "symbols")
    wrong = np.mean([wrong_label(random, natural, 0) != 0 for _ in range(4000)])
    assert wrong == pytest.approx(WorldConfig().label_noise, abs=0.02)
    assert all(wrong_label(random, symbols, 1) == 1 for _ in range(200))


def test_entailment_is_decided_by_the_lexicon() -> None:
    random = world_seed(8, "test")
    pole = {word: (group, side) for group, pair in enumerate(lex.STATES) for side in (0, 1) for word in pair[side]}
    episode = next(e for e in episodes(50, WorldConfig(easy=0.0), "entailment") if len(e.classes) == 3)
    for _ in range(300):
        item = episode.item(random)
        (group, side), (other, way) = (pole[word] for word in item.words if word in pole)
        expected = 2 if group != other else int((side != way) != ("not" in item.words))
        assert episode.classes[item.label] == expected


def test_repeated_sequences_repeat_and_only_the_repetition_counts() -> None:
    ids, weights = repeat_sequence(world_seed(9, "test"), 64, WEIGHTS)
    n = weights.index(WEIGHTS.repeat) - 1
    assert ids[1 + n : 1 + 2 * n] == ids[1 : 1 + n][: 63 - n]
    assert len(ids) == len(weights) == 64
    assert set(weights[: n + 1]) == {0.0}


def test_weights_lie_on_labels() -> None:
    random = world_seed(10, "test")
    episode = next(e for e in episodes(50, WorldConfig(easy=0.0), "topic") if e.kind == "symbols")
    ids, weights = episode_sequence(random, episode, 120, WEIGHTS)
    labels = {word_id(word) for word in episode.label_words}
    assert {i for i, w in enumerate(weights) if w in (WEIGHTS.label, WEIGHTS.unknowable)} == {
        i for i, token in enumerate(ids) if token in labels
    }
    assert weights[next(i for i, token in enumerate(ids) if token in labels)] == WEIGHTS.unknowable


def test_text_reads_like_language() -> None:
    text = decode(sequence(world_seed(11, "test"), 80, MixtureConfig(repeat=0.0, recall=0.0), WEIGHTS)[0])
    assert text.startswith("<bos>")
    assert "\ufffd" not in text


@pytest.mark.parametrize(
    "knobs",
    [{"bursty": 1.5}, {"natural": 0.6, "symbols": 0.6}, {"families": (1.0,)}, {"zipf": -1.0}, {"max_classes": 1}],
)
def test_impossible_knobs_are_refused(knobs: dict) -> None:
    with pytest.raises(TaskError, match="WorldConfig"):
        WorldConfig(**knobs)
