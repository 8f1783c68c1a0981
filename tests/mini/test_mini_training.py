"""The network, the optimiser, runs that stop and go on, recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from iclmech._base import ModelError, TaskError
from iclmech.experiments import mini as training
from iclmech.experiments.mini import train_mini
from iclmech.training import MiniNet, NetConfig, Phase, Recipe, load_recipe
from iclmech.training._optimizers import BatchedMuon, orthogonalise

TINY = Recipe(
    name="tiny", check_every=4, dense_every=4, warmup=2, net=NetConfig(n_layers=1, d_model=16, n_heads=2, d_mlp=24, n_ctx=64),
    phases=(Phase(steps=5, length=24, tokens=96, easy=1.0), Phase(steps=4, length=32, tokens=96, short_share=0.5)),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iclmech.experiments.mini._api.measure", lambda net: {"prefix_matching": 0.0})


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def test_the_network_is_a_llama() -> None:
    config = NetConfig(init_std=0.2, n_layers=2)
    net = MiniNet(config, 50, torch.Generator().manual_seed(0))
    plain = LlamaForCausalLM(LlamaConfig(**config.hf_config(50))).eval()
    missing = plain.load_state_dict(net.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all("rotary" in key for key in missing.missing_keys)
    ids = torch.randint(0, 50, (2, 300), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = plain(ids).logits, net.logits(net(ids))
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=2e-4, rtol=1e-4)


def test_asking_for_patterns_changes_nothing() -> None:
    net = MiniNet(NetConfig(init_std=0.2, n_layers=2), 50, torch.Generator().manual_seed(0))
    ids = torch.randint(0, 50, (2, 40), generator=torch.Generator().manual_seed(1))
    patterns: list[torch.Tensor] = []
    with torch.no_grad():
        torch.testing.assert_close(net(ids, patterns), net(ids), atol=1e-5, rtol=1e-4)
    assert [tuple(pattern.shape) for pattern in patterns] == [(2, 4, 40, 40)] * 2
    torch.testing.assert_close(patterns[1].sum(-1), torch.ones(2, 4, 40))


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_muon_agrees_with_pytorchs(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    one = BatchedMuon([mine], lr=0.1, momentum=0.9, weight_decay=0.1)
    two = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
    assert (mine - start).norm() > 0.3
    torch.testing.assert_close(mine, theirs, atol=0.03, rtol=0.03)  # PyTorch's works in bfloat16


def test_orthogonalise_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.4


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


def test_another_seed_is_another_model_and_is_not_mixed_up(tmp_path: Path) -> None:
    train_mini(TINY, tmp_path, seed=1, progress=False, device="cpu", max_steps=2)
    with pytest.raises(ModelError, match="seed 1"):
        train_mini(TINY, tmp_path, seed=2, progress=False, device="cpu")
    before = weights_of(tmp_path)
    train_mini(TINY, tmp_path, seed=2, progress=False, device="cpu", max_steps=2, resume=False)
    assert not torch.equal(before["lm_head.weight"], weights_of(tmp_path)["lm_head.weight"])


def test_training_lowers_the_loss_of_recall() -> None:
    from iclmech.training._trainer import start_run, train_step

    phase = Phase(steps=60, length=48, tokens=768, repeat=0.0, recall=1.0, easy=1.0)
    run = start_run(dataclasses.replace(TINY, phases=(phase,)), seed=0)
    losses = [train_step(run)["loss"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_phase_ends_early_when_its_aim_is_reached() -> None:
    from iclmech.training._trainer import _advance, start_run

    run = start_run(
        dataclasses.replace(TINY, phases=(Phase(steps=500, length=24, until=0.5), Phase(steps=5, length=24))), 0
    )
    run.phase_step, run.running = 200, {"label_accuracy": 0.6}
    _advance(run, {"loss": 1.0, "label_accuracy": 0.6})
    assert (run.phase, run.phase_step) == (1, 0)


def test_shipped_recipes_load_and_say_everything() -> None:
    full, quick = load_recipe("full"), load_recipe("quick")
    assert max(phase.length for phase in full.phases) == full.net.n_ctx == 1024
    assert (quick.world, quick.net, quick.loss, quick.phases[:3]) == (full.world, full.net, full.loss, full.phases[:3])
    assert quick.steps < full.steps
    assert load_recipe(full) is full


def test_unknown_recipes_and_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="full"):
        load_recipe("nothing")
    bad = tmp_path / "bad.toml"
    bad.write_text("speed = 3\n[[phases]]\nsteps = 1\nlength = 8\n")
    with pytest.raises(TaskError, match="speed"):
        load_recipe(bad)
