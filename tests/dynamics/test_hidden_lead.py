"""Hidden abilities: unclamped accuracy is the history's, controls are attention at random, claims follow the steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import iclmech as icl
from iclmech.dynamics import Classes, HiddenLead, random_pattern
from iclmech.dynamics._clamped_pass import logits_under, watched
from iclmech.dynamics._measured import fixed_sequences
from iclmech.dynamics._world_net import WorldNet
from iclmech.experiments import ExperimentError

dyn = icl.dynamics


def test_the_net_as_it_is_has_the_accuracy_of_its_history_and_controls_are_other_conditions():
    history = dyn.train(Classes(novel=1.0), seeds=3, steps=4, evaluate=2, rows=64)
    found = dyn.hidden_lead(history, ("match", "previous_token:0.0+match:1.0"), rows=64)
    mine = found.data["accuracy"].sel(condition="none").values
    assert np.array_equal(mine, history.data["accuracy"].sel(test_set="in_context").values)
    assert found.clamps == ["match", "previous_token:0.0+match:1.0"]
    apart = found.data["accuracy"].sel(condition="match") - found.data["accuracy"].sel(
        condition="random pattern: match"
    )
    assert abs(apart).max() > 0
    with pytest.raises(ExperimentError, match="got the clamp 'matching'"):
        dyn.hidden_lead(history, ("matching",))


def test_a_random_pattern_is_causal_differs_by_row_and_is_the_same_alone_and_in_a_stack():
    world = Classes(novel=1.0)
    seeds = [0, 1, 2]
    tables = [world.tables(seed) for seed in seeds]
    batch = fixed_sequences([world] * 3, seeds, tables, 16, ("in_context",))["in_context"]
    module = WorldNet(world, world.net, seeds)
    groups = [((0, 2), (random_pattern(1),))]
    patterns = watched(module, batch, groups)[1]
    given = patterns[[0, 2], 1, :, 0]
    assert torch.allclose(given.sum(-1), torch.ones(given.shape[:-1]))
    assert given.triu(1).abs().max() == 0
    assert torch.equal(given[0], given[1])
    assert (given[0, 0, -1] - given[0, 1, -1]).abs().max() > 0.01
    assert not torch.equal(patterns[1, 1], patterns[0, 1])
    one = WorldNet(world, world.net, seeds[2:])
    alone = logits_under(one, batch.of((2,)), [((0,), (random_pattern(1),))])
    assert torch.equal(alone[0], logits_under(module, batch, groups)[2])


def made(none: list[float], clamp: list[float], control: list[float], first: float = 0.1) -> Any:
    """Three runs; the steps at which each condition reaches the level, NaN for never."""
    reached = np.array([none, clamp, control])
    accuracy = np.full((3, len(none), 2), 0.1)
    accuracy[1, :, 0] = first
    names = ["none", "match", "random pattern: match"]
    data = xr.Dataset(
        {
            "reached": (("condition", "run"), reached, {"level": 0.8}),
            "accuracy": (("condition", "run", "step"), accuracy),
        },
        {"condition": names, "step": [0, 100]},
    )
    return HiddenLead(data)


def test_claims_follow_the_steps():
    nan = float("nan")

    def verdicts(*of: Any, **more: Any) -> list[str]:
        return made(*of, **more).claims()["verdict"].tolist()

    assert verdicts([500, 600, 700], [100, 90, 150], [600, nan, 800]) == ["holds", "holds"]
    assert verdicts([500, 600, 700], [500, 690, 600], [500, nan, 800])[0] == "not shown"
    assert verdicts([500, 600, 700], [800, 790, 900], [100, 100, 100]) == ["does not hold", "does not hold"]
    assert verdicts([500, 600, 700], [nan] * 3, [nan] * 3) == ["does not hold", "does not hold"]
    assert verdicts([500, 600, 700], [0, 0, 0], [nan] * 3, first=0.95) == ["not applicable", "holds"]
    assert verdicts([500, 600], [100, 90], [nan, nan])[0] == "not shown"
    row = made([500, 600, 700], [100, 90, nan], [nan] * 3).summary().set_index("condition").loc["match"]
    assert (row["elicited"], row["lead"], row["runs_elicited"]) == (95.0, 455.0, 2)
