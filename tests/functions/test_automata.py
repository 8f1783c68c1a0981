"""Automata: strings that they allow, exact distributions, Bayes over a pool."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Automata, FunctionError


def test_strings_follow_the_automaton_and_have_legal_lengths():
    family = Automata()
    prompts = family.prompts(64, 80, 0)
    for ids, edges in zip(prompts.tokens.tolist(), prompts.truth["transitions"].tolist(), strict=True):
        assert ids[0] == 0
        strings = " ".join(map(str, ids)).split("0")[1:]
        for text in strings[:-1]:
            letters = [int(s) for s in text.split()]
            assert 3 <= len(letters) <= 8
            state = 0
            for letter in letters:
                state = edges[state][letter - 1]
                assert state >= 0
    assert torch.equal(prompts.y[:, :-1].long(), prompts.tokens[:, 1:])


def test_automata_have_the_sizes_that_were_asked_for():
    edges = Automata(states=3, symbols=6, fewest_symbols=4, edges=2).prompts(500, 2, 1).truth["transitions"]
    allowed = (edges >= 0).sum(dim=-1)
    assert set(allowed.unique().tolist()) == {1, 2}
    assert set(edges.unique().tolist()) == {-1, 0, 1, 2}
    assert ((edges >= 0).any(dim=1).sum(dim=-1) <= 6).all()


def test_the_distribution_is_the_one_that_symbols_are_drawn_from():
    prompts = Automata().prompts(2000, 30, 2)
    chance = prompts.truth["distribution"]
    assert (chance.sum(dim=-1) - 1).abs().max() < 1e-12
    happened = torch.nn.functional.one_hot(prompts.y.long(), 9).double()
    for low, high in ((0.01, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.9)):
        among = (chance > low) & (chance <= high)
        assert abs(float(happened[among].mean() - chance[among].mean())) < 0.01
    assert happened[chance == 0].sum() == 0
    assert happened[chance == 1].all()


def test_bayes_over_a_pool_is_the_one_of_a_loop():
    family = Automata(states=2, symbols=3, fewest_symbols=3, edges=2, shortest=1, longest=3, pool=5)
    prompts = family.prompts(4, 12, 3)
    found = family.bayes(prompts)
    alone = [family.next_symbol(family._pool()[h][None, None], prompts.tokens)[:, :, 0] for h in range(5)]
    for p in range(4):
        weight = [1.0] * 5
        for n in range(12):
            wanted = sum(w * alone[h][p, n] for h, w in enumerate(weight)) / sum(weight)
            assert (found[p, n] - wanted).abs().max() < 1e-10
            weight = [w * float(alone[h][p, n, int(prompts.y[p, n])]) for h, w in enumerate(weight)]


def test_bayes_finds_the_automaton_of_a_pool():
    family = Automata(pool=32)
    prompts = family.prompts(64, 40, 4)
    away = (family.bayes(prompts) - prompts.truth["distribution"]).abs().sum(dim=-1).mean(dim=0) / 2
    assert away[0] > 0.3
    assert away[20:].max() < 0.01


def test_without_a_pool_there_is_no_bayes_and_never_a_value():
    prompts = Automata().prompts(2, 8, 5)
    with pytest.raises(FunctionError, match=r"Automata\(pool=64\)"):
        prompts.family.bayes(prompts)
    with pytest.raises(FunctionError, match="gives a distribution"):
        _ = prompts.clean
    with pytest.raises(FunctionError, match="shortest"):
        Automata(shortest=4, longest=3)
