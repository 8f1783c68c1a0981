"""Boolean families: their distributions, what inputs give away, what is refused."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Conjunctions, FunctionError, Parities, TeachingSequences


def accuracy(prompts, answers):
    return ((answers > 0.5) == prompts.targets.bool()).double().mean(dim=0)


def test_conjunctions_hold_where_every_literal_holds():
    prompts = Conjunctions(d=5).prompts(64, 10, 0)
    for row, x, y in zip(prompts.truth["row"].tolist(), prompts.x.tolist(), prompts.y.tolist(), strict=True):
        for point, value in zip(x, y, strict=True):
            assert value == all(p == r for p, r in zip(point, row, strict=True) if r)


def test_the_prior_of_conjunctions_is_the_one_that_is_drawn_from():
    family = Conjunctions(d=4, absent=0.7)
    assert abs(float(family.log_prior().exp().sum()) - 1) < 1e-12
    row = family.prompts(8000, 1, 1).truth["row"]
    assert abs(float((row == 0).double().mean()) - 0.7) < 0.02
    assert abs(float((row == 1).double().mean()) - 0.15) < 0.02


def test_inputs_tell_of_the_conjunction_and_bayes_without_them_is_no_bound():
    prompts = Conjunctions(d=6).prompts(1024, 14, 2)
    whole, naive = (accuracy(prompts, prompts.family.bayes(prompts, use)) for use in (True, False))
    assert whole[6:].mean() > naive[6:].mean() + 0.01


def test_teaching_gives_all_away_after_two_examples():
    family = TeachingSequences(d=5)
    prompts = family.prompts(64, 10, 3)
    found = family.bayes(prompts)
    assert (found[:, 2:] - prompts.y[:, 2:]).abs().max() < 1e-10
    assert (prompts.y[:, :2] == 1).all()
    literals = (prompts.truth["row"] != 0).sum(dim=1)
    assert all((prompts.y[p, 2 : 2 + n] == 0).all() for p, n in enumerate(literals.tolist()))


def test_parities_count_their_subset():
    prompts = Parities(d=5, size=3).prompts(16, 8, 4)
    subset = prompts.truth["row"].bool()
    for p in range(16):
        assert torch.equal(prompts.y[p], ((prompts.x[p][:, subset[p]] > 0).sum(dim=1) % 2).double())
    assert len(Parities(d=5, size=0).table()) == 31


def test_what_cannot_be_enumerated_is_refused():
    with pytest.raises(FunctionError, match="177147 conjunctions"):
        Conjunctions(d=11).prompts(1, 1)
    with pytest.raises(FunctionError, match="subsets of 6 variables"):
        Parities(d=6, size=7).prompts(1, 1)
