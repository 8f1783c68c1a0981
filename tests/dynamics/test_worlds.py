"""The worlds' own statistics: what they say of their data holds in what they draw."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from iclmech._base import rng
from iclmech.dynamics import Classes, Relabelled, Sequences, Tasks, Tokens, World, world_of
from iclmech.experiments import ExperimentError

N = 4000


def drawn(world: World, test_set: str = "train", n: int = N, seed: int = 0) -> Sequences:
    return world.draw(world.tables(seed), n, rng(seed, f"test {test_set}"), test_set)


def in_context(found: Sequences) -> torch.Tensor:
    """Whether the query's class stands in the context."""
    return (found.classes[:, :-1] == found.classes[:, -1:]).any(1)


def test_bursty_sequences_hold_the_query_and_the_others_hold_it_by_chance():
    for share in (0.0, 0.5, 1.0):
        found = drawn(Classes(n_classes=2048, bursty=share))
        assert in_context(found).float().mean().item() == pytest.approx(share, abs=0.03)


def test_a_burst_of_two_holds_every_class_twice():
    found = drawn(Classes(pairs=8, burst=4, bursty=1.0, n_classes=4096))
    counts = (found.classes[:, :-1, None] == found.classes[:, None, :-1]).sum(-1)
    assert (counts >= 4).all()
    first = (found.classes[:, 1] == found.classes[:, 0]).float().mean()
    assert first.item() == pytest.approx(3 / 7, abs=0.03)  # in random order


@pytest.mark.parametrize("zipf", [0.0, 1.0, 1.5])
def test_classes_come_by_zipfs_law(zipf: float):
    found = drawn(Classes(n_classes=50, zipf=zipf, bursty=0.0), n=20000)
    expected = torch.arange(1, 51, dtype=torch.float64) ** -zipf
    counted = torch.bincount(found.classes.flatten(), minlength=50).double() / found.classes.numel()
    assert (counted - expected / expected.sum()).abs().max() < 0.004


def test_items_are_as_far_from_their_class_as_the_noise_says():
    world = Classes(n_classes=64, noise=0.5)
    tables, found = world.tables(3), drawn(world, seed=3)
    mean = tables["means"][found.classes] / (1 + 0.25) ** 0.5
    off = (found.items - mean) * (1 + 0.25) ** 0.5
    assert off.square().sum(-1).mean().item() == pytest.approx(0.25, rel=0.02)
    assert (found.labels == found.classes[:, :-1] % 16).all()


def test_novel_classes_are_new_every_time_and_their_labels_differ():
    found = drawn(Classes(), "in_context")
    assert all(len(set(row)) == 4 for row in found.labels[:200].tolist())
    assert in_context(found).all()
    assert (found.right.sum(1) == 1).all()
    near = found.items[:, None, :-1] @ found.items[:, -1:].transpose(1, 2)[:, None]
    nearest = near[:, 0, :, 0].argmax(1)
    assert (found.labels.gather(1, nearest[:, None])[:, 0] == found.target).float().mean() > 0.97
    assert (drawn(Classes(relabel=2, pairs=8, burst=4), "in_context").labels < 2).all()


def test_a_share_of_novel_sequences_is_mixed_in():
    found = drawn(Classes(novel=0.3))
    assert (found.classes[:, 0] < 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert ((found.classes < 0).all(1) | (found.classes >= 0).all(1)).all()


@pytest.mark.parametrize("world", [Classes(n_classes=32), Classes(n_classes=512, zipf=1.0), Tokens(zipf=1.5)])
def test_in_weights_sequences_give_no_support(world: World):
    found = drawn(world, "in_weights")
    assert not found.right.any()
    assert not in_context(found).any()
    assert (found.target == found.classes[:, -1] % 16).all()


@pytest.mark.parametrize("world", [Classes(n_classes=128), Tokens()])
def test_flipped_labels_contradict_the_weights_and_the_context_is_right(world: World):
    found = drawn(world, "flipped")
    assert (found.target == (found.classes[:, -1] + 1) % 16).all()
    assert found.right.any(1).all()


def test_held_out_labels_and_classes_never_occur_in_training():
    world = Relabelled()
    train, labels, classes = (drawn(world, s) for s in world.test_sets)
    sets = [{frozenset(row) for row in found.labels.tolist()} for found in (train, labels, classes)]
    assert (len(sets[0]), len(sets[1])) == (8, 2)
    assert not sets[0] & sets[1]
    assert train.classes.max() < 50 <= classes.classes.min()
    assert set(range(50)) == set(train.classes.flatten().tolist())
    assert (train.right.sum(1) == 1).all()
    orders = {tuple(row) for row in train.labels.tolist()}
    assert len(orders) == 16  # both orders of each set
    assert torch.allclose(world.tables(0)["vectors"].norm(dim=-1), torch.ones(100))


def test_a_task_is_a_projection_and_a_permutation_of_one_base_set():
    world = Tasks(n_tasks=3, noise=0.0)
    tables, found = world.tables(0), drawn(world, n=300)
    fits = torch.stack(
        [(tables["base"][found.classes] @ a.T - found.items).abs().amax((1, 2)) < 1e-5 for a in tables["maps"]]
    )
    assert (fits.sum(0) == 1).all()
    task = fits.float().argmax(0)
    assert (tables["names"][task].gather(1, found.classes[:, -1:])[:, 0] == found.target).all()
    memory = drawn(world, "memory", n=300)
    assert (
        (memory.classes[:, :-1] == memory.classes[:, -1:]) <= (memory.labels == (memory.target[:, None] + 1) % 4)
    ).all()
    assert not memory.right[(memory.classes[:, :-1] == memory.classes[:, -1:])].any()
    unseen = drawn(world, "unseen", n=300)
    assert all((tables["base"][unseen.classes] @ a.T - unseen.items).abs().amax() > 0.1 for a in tables["maps"])
    assert in_context(unseen).all()


def test_the_unseen_table_is_one_and_the_same_and_nobody_trains_it():
    a, b = (drawn(Tokens(bursty=p), "unseen") for p in (1.0, 0.5))
    assert torch.equal(a.items, b.items)
    assert a.items.dtype == torch.float32
    rows = {tuple(row) for row in a.items.flatten(0, 1).tolist()}
    assert len(rows) <= 256
    assert torch.tensor(sorted(rows)).std().item() == pytest.approx(1.0, abs=0.05)
    assert all(len(set(row)) == 4 for row in a.labels[:200].tolist())


WORLDS: list[Any] = [Classes(), Classes(novel=1.0), Relabelled(), Tasks(), Tasks(n_tasks=0), Tokens()]


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.spelled)
def test_every_test_set_is_drawn_from_its_generator_alone_and_has_the_shapes_of_the_world(world: World):
    for test_set in world.test_sets:
        found, again = (drawn(world, test_set, 40, 1) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(found._tensors(), again._tensors(), strict=True))
        assert found.labels.shape == (40, world.pairs)
        assert found.items.shape[:2] == (40, world.pairs + 1)
        assert int(found.labels.max()) < world.n_labels
        assert int(found.target.max()) < world.n_labels
    with pytest.raises(ExperimentError, match="got test_set='other'"):
        drawn(world, "other")


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.spelled)
def test_a_world_and_its_text_are_the_same(world: World):
    assert world_of(world.spelled) == world
    assert world.known


def test_texts_and_knobs_that_mean_nothing_are_refused():
    for text, match in (
        ("classes(", "expected a name"),
        ("planets", "got the world"),
        ("tasks(bursty=1)", "got bursty"),
    ):
        with pytest.raises(ExperimentError, match=match):
            world_of(text)
    for make, match in (
        (lambda: Classes(burst=3), "multiple of the burst"), (lambda: Classes(bursty=1.5), "shares"),
        (lambda: Relabelled(pairs=9), "1 to 5"), (lambda: Relabelled(held_labels=10), "fewer than the 10"),
        (lambda: Classes(n_classes=16, n_labels=1).draw(Classes(n_classes=16, n_labels=1).tables(0), 8, rng(0, "x"), "in_weights"), "other labels"),
    ):  # fmt: skip
        with pytest.raises(ExperimentError, match=match):
            make()
    assert world_of("classes(bursty=1)").bursty == 1.0
    assert isinstance(world_of("classes(bursty=1)").bursty, float)


def test_guessing_a_label_of_the_context_is_right_as_often_as_the_line_says():
    for world in (Classes(), Relabelled(), Tokens()):
        found = drawn(world, world.ability)
        assert found.right.float().mean().item() == pytest.approx(world.chance["a label of the context"], abs=0.001)
    assert len(list(itertools.combinations(range(5), 2))) == 10
