"""Predictors by name."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Automata, Conjunctions, Fourier, FunctionError, LinearRegression, TaskPool, predictors


@pytest.mark.parametrize(
    "family", [LinearRegression(), TaskPool(), Fourier(), Conjunctions(d=3), Automata(pool=2), Automata()], ids=repr
)
def test_a_predictor_that_applies_answers(family):
    prompts = family.prompts(2, 5, 0)
    names = [name for name in predictors.PREDICTORS if predictors.applies(name, family)]
    assert names
    for name in names:
        assert predictors.predict(name, prompts).shape[:2] == (2, 5), name


def test_a_number_in_the_name_is_the_setting():
    prompts = LinearRegression().prompts(4, 6, 0)
    for name, wanted in (
        ("gd-4", predictors.gd(prompts, 4)),
        ("newton-3", predictors.newton(prompts, 3)),
        ("knn-2", predictors.knn(prompts, 2)),
        ("ridge-0.5", predictors.ridge(prompts, 0.5)),
    ):
        assert torch.equal(predictors.predict(name, prompts), wanted)
    assert torch.equal(predictors.predict("gd-4", prompts, eta=0.1), predictors.gd(prompts, 4, 0.1))


@pytest.mark.parametrize("name", ["gdd", "zero-1", "gd-few"])
def test_an_unknown_name_is_refused(name: str):
    with pytest.raises(FunctionError, match=f"got the predictor {name!r}"):
        predictors.predict(name, LinearRegression().prompts(2, 3))
