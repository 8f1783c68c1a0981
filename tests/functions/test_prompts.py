"""Prompts of functions: shapes, seeds, hashes, and the sets that are out of distribution or controls."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from iclmech.functions import (
    Automata,
    Conjunctions,
    Fourier,
    FunctionError,
    LinearRegression,
    Mixture,
    Parities,
    Representation,
    Sequential,
    SparseRegression,
    TaskPool,
    TeachingSequences,
)

POINTS = (LinearRegression(), SparseRegression(), TaskPool(), Mixture(), Fourier(), Representation(), Sequential())
BOOLEAN = (Conjunctions(d=4), TeachingSequences(d=4), Parities(d=4))
ALL = (*POINTS, *BOOLEAN, Automata(pool=4))


@pytest.mark.parametrize("family", ALL, ids=lambda f: f.name)
def test_every_family_gives_float64_prompts_by_seed_and_answers_for_every_prefix(family):
    prompts = family.prompts(n_prompts=8, n_examples=10, seed=3)
    assert prompts.x.shape == (8, 10, family.input_size)
    assert prompts.y.shape == (8, 10)
    assert prompts.x.dtype == prompts.y.dtype == torch.float64
    again, other = family.prompts(8, 10, 3), family.prompts(8, 10, 4)
    assert prompts.hash == again.hash != other.hash
    assert family.bayes(prompts).shape[:2] == (8, 10)
    assert family.hash == replace(family).hash
    assert json.loads(json.dumps(prompts.provenance))["family"]["family"] == family.name


@pytest.mark.parametrize("family", [*POINTS, *BOOLEAN], ids=lambda f: f.name)
def test_bayes_has_the_least_error_and_sees_only_what_stands_before(family):
    prompts = family.prompts(1500, 8, 5)
    found = family.bayes(prompts)
    error = (found - prompts.targets).square().mean()
    for scale in (0.9, 1.1):
        middle = prompts.y.mean()
        assert error < ((found - middle) * scale + middle - prompts.targets).square().mean()
    later = prompts.y.clone()
    later[:, 5:] = later.flip(0)[:, 5:]
    changed = type(prompts)(prompts.x, later, family, prompts.truth)
    assert torch.equal(family.bayes(changed)[:, :6], found[:, :6])


@pytest.mark.parametrize("family", POINTS, ids=lambda f: f.name)
def test_a_slice_is_some_of_the_prompts(family):
    prompts = family.prompts(8, 6, 0).fresh(1)
    part = prompts[2:5]
    assert torch.equal(part.queries, prompts.queries[2:5])
    assert torch.equal(part.clean, prompts.clean[2:5])
    assert (family.bayes(part) - family.bayes(prompts)[2:5]).abs().max() < 1e-12


def test_noise_has_its_standard_deviation():
    prompts = LinearRegression(noise=0.5).prompts(2000, 10, 0)
    assert abs(float((prompts.y - prompts.clean).std()) - 0.5) < 0.01


def test_a_draw_from_a_generator_goes_on():
    generator = torch.Generator().manual_seed(0)
    first, second = (LinearRegression().draw(4, 3, generator) for _ in range(2))
    assert first.hash != second.hash
    assert first.seed is None


def test_what_is_empty_or_of_symbols_is_refused():
    with pytest.raises(FunctionError, match="0 prompts of 4 examples"):
        LinearRegression().prompts(0, 4)
    with pytest.raises(FunctionError, match="expected a family of symbols"):
        _ = LinearRegression().prompts(1, 4).tokens
    with pytest.raises(FunctionError, match="got 2 numbers as mean for d=5"):
        LinearRegression(mean=(1.0, 2.0)).prompts(1, 4)
