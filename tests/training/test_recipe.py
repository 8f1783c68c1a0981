"""Recipes: the shipped ones load, wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from iclmech._base import TaskError
from iclmech.training import load_recipe


def test_shipped_recipes_load_and_say_everything() -> None:
    full, quick = load_recipe("full"), load_recipe("quick")
    assert max(phase.length for phase in full.phases) == full.net.n_ctx == 1024
    assert (quick.world, quick.net, quick.loss, quick.phases[:3]) == (full.world, full.net, full.loss, full.phases[:3])
    assert quick.steps < full.steps
    assert load_recipe(full) is full


def test_mlp_widths_may_be_given_for_each_block(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[net]\nn_layers = 2\nd_mlp = [0, 64]\n[[phases]]\nsteps = 1\nlength = 8\n")
    assert load_recipe(file).net.mlp_widths == (0, 64)
    hash(load_recipe(file))


def test_unknown_recipes_and_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="full"):
        load_recipe("nothing")
    bad = tmp_path / "bad.toml"
    bad.write_text("speed = 3\n[[phases]]\nsteps = 1\nlength = 8\n")
    with pytest.raises(TaskError, match="speed"):
        load_recipe(bad)
