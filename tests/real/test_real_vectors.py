"""Vectors in the place of the context, on a real model: the task vector of a word task beside its controls."""

from __future__ import annotations

import numpy as np
import pytest

import iclmech as icl
from iclmech.experiments import Steering

LAST = 29
"""Of SmolLM2-135M's layers; task vectors act at about two thirds of the depth."""


@pytest.fixture(scope="module")
def result(smollm2: icl.ICLModel) -> Steering:
    return icl.steer(
        smollm2, "words/plural", k=5, n_queries=8, seeds=1, n_fit=5, n_held_out=5, n_random=3, n_permutations=1,
        layers=(6, 18, 19, 20, 21, LAST), strengths=(1.0,), wrong_task="words/past-tense",
    )  # fmt: skip


def of(result: Steering, measure: str, setting: str, control: str = "none", layer: int | None = None) -> float:
    layer = int(result.data["chosen_layer"][0]) if layer is None else layer
    return float(
        result.data[measure].sel(setting=setting, control=control, layer=layer, strength=1.0).mean("seed").item()
    )


def test_a_task_vector_does_what_no_random_vector_does_at_a_layer_chosen_on_other_queries(result: Steering) -> None:
    for control in ("random", "wrong_task"):
        assert of(result, "accuracy", "vector") >= of(result, "accuracy", "vector", control) + 0.2
        assert of(result, "log_prob", "vector") > of(result, "log_prob", "vector", control) + 1.0
    assert of(result, "accuracy", "zs") <= 0.1
    assert int(result.data["chosen_layer"][0]) not in (6, LAST)


def test_a_querys_own_state_at_the_last_layer_is_the_context(result: Steering) -> None:
    for measure in ("accuracy", "log_prob"):
        assert np.isclose(of(result, measure, "vector", "own", LAST), of(result, measure, "icl"), atol=1e-4)
    assert not np.isclose(of(result, "log_prob", "vector", "own", 6), of(result, "log_prob", "icl"), atol=1e-2)
