"""icl-mini's curriculum: its runs are what they always were; phases end; a stopped run goes on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from iclmech._base import ModelError
from iclmech.experiments.mini import train_mini
from iclmech.training import Curriculum, NetConfig, Phase, Recipe, Run, load_recipe, start_run, train_step

TINY = Recipe(
    name="tiny", check_every=4, dense_every=4, warmup=2, net=NetConfig(n_layers=1, d_model=16, n_heads=2, d_mlp=24, n_ctx=64),
    phases=(Phase(steps=5, length=24, tokens=96, easy=1.0), Phase(steps=4, length=32, tokens=96, short_share=0.5)),
)  # fmt: skip
FIRST_LOSSES = (  # recipe "quick", seed 0, of the trainer that drew its own batches, without hook points
    7.025234222412109, 6.965015888214111, 7.011719226837158, 6.979297161102295, 7.011634826660156,
    6.98000955581665, 6.941129207611084, 6.996285915374756, 6.957568645477295, 6.994910717010498,
    6.978780269622803, 6.980292797088623, 6.886369705200195, 6.975087642669678, 7.021065711975098,
    6.9543843269348145, 6.989139556884766, 6.882078647613525, 6.911306858062744, 6.865891456604004,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iclmech.experiments.mini._api.measure", lambda net: {"prefix_matching": 0.0})


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def curriculum_of(run: Run) -> Curriculum:
    assert isinstance(run.batches, Curriculum)
    return run.batches


def test_icl_minis_first_steps_are_those_it_was_trained_with() -> None:
    run = start_run(load_recipe("quick"), 0)
    losses = [train_step(run, next(run.batches))["loss"] for _ in range(20)]
    assert losses == pytest.approx(FIRST_LOSSES, abs=1e-6)  # the same numbers on the processor they were taken on


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    train_mini(TINY, tmp_path / "whole", seed=3, progress=False, device="cpu")
    train_mini(TINY, tmp_path / "parts", seed=3, progress=False, device="cpu", max_steps=6)
    train_mini(TINY, tmp_path / "parts", seed=3, progress=False, device="cpu")
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    steps = {file.stem for file in (tmp_path / "whole" / "checkpoints").glob("*.safetensors")}
    assert steps == {"step-0", "step-4", "step-8", "step-9"}
    untrained = load_file(tmp_path / "whole" / "checkpoints" / "step-0.safetensors")
    assert not torch.equal(untrained["lm_head.weight"], whole["lm_head.weight"])
    one, two = (
        [{**row, "cpu_seconds": 0} for row in json.loads((tmp_path / name / "history.json").read_text())["rows"]]
        for name in ("whole", "parts")
    )
    assert one == two
    assert [(row["step"], row["phase"], row["seed"]) for row in one] == [(0, 0, 3), (4, 0, 3), (8, 1, 3), (9, 2, 3)]
    assert {"tokens", "train_loss", "train_label_accuracy", "prefix_matching"} <= set(one[-1])


def test_another_seed_is_another_model_and_is_not_mixed_up(tmp_path: Path) -> None:
    train_mini(TINY, tmp_path, seed=1, progress=False, device="cpu", max_steps=2)
    with pytest.raises(ModelError, match="seed 1"):
        train_mini(TINY, tmp_path, seed=2, progress=False, device="cpu")
    before = weights_of(tmp_path)
    train_mini(TINY, tmp_path, seed=2, progress=False, device="cpu", max_steps=2, resume=False)
    assert not torch.equal(before["lm_head.weight"], weights_of(tmp_path)["lm_head.weight"])


def test_training_lowers_the_loss_of_recall() -> None:
    phase = Phase(steps=60, length=48, tokens=768, repeat=0.0, recall=1.0, easy=1.0)
    run = start_run(dataclasses.replace(TINY, phases=(phase,)), seed=0)
    losses = [train_step(run, batch)["loss"] for batch in run.batches]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])  # type: ignore[arg-type]  # one net: numbers


def test_a_phase_ends_early_when_its_aim_is_reached() -> None:
    phases = (Phase(steps=500, length=24, until=0.5), Phase(steps=5, length=24))
    curriculum = curriculum_of(start_run(dataclasses.replace(TINY, phases=phases), 0))
    curriculum.phase_step, curriculum.running = 200, {"label_accuracy": 0.6}
    curriculum.observe({"loss": 1.0, "accuracy": 0.6})
    assert (curriculum.phase, curriculum.phase_step) == (1, 0)
    assert curriculum.running["label_accuracy"] == pytest.approx(0.6)


def test_rates_warm_up_and_fall_within_a_phase() -> None:
    phases = (Phase(steps=4, length=24), Phase(steps=10, length=24, lr=1.0, lr_end=0.0))
    curriculum = curriculum_of(start_run(dataclasses.replace(TINY, phases=phases), 0))
    rates = []
    for step in range(14):
        rates.append(curriculum.rate(step))
        curriculum.observe({"loss": 1.0, "accuracy": float("nan")} if step else {"loss": 1.0, "accuracy": 0.0})
    assert rates == pytest.approx([0.5, 1, 1, 1, *(1 - n / 10 for n in range(10))])
    assert curriculum.done
