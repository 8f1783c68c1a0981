"""The trainer: against a loop written out, checks and saves at their steps, resumption to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training.small_nets import batch_for, batch_of, net_and_stack, nets

from iclmech._base import ModelError
from iclmech.training import Run, TokenBatch, build_optimizers, resume, save_run, token_loss, train, train_step, warmup


def batches(n: int, models: int = 3) -> Iterator[TokenBatch]:
    return (batch_of(models, step) for step in range(n))


class Drawn:
    """Batches that remember how often they were drawn, and can load that."""

    def __init__(self, n: int) -> None:
        self.n, self.step, self.drawn = n, 0, 0
        self.seen: list[Any] = []

    def __iter__(self) -> Drawn:
        return self

    def __next__(self) -> TokenBatch:
        if self.step == self.n:
            raise StopIteration
        self.step, self.drawn = self.step + 1, self.drawn + 1
        return batch_of(3, self.step)

    def observe(self, measured: dict[str, Any]) -> None:
        self.seen.append(measured["loss"])

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def run_of(source: Any, name: str = "run") -> Run:
    whole = net_and_stack(3)[1]
    return Run(whole, build_optimizers(whole, "muon"), source, token_loss, warmup(4), 0.7, name)


def test_steps_are_those_of_a_loop_in_plain_pytorch() -> None:
    net, other = nets(1)[0], nets(1)[0]
    run = Run(net, build_optimizers(net, "adamw", lr=1e-2), iter(()), token_loss, warmup(4), clip=0.3)
    plain = torch.optim.AdamW(other.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(6):
        batch = batch_for(batch_of(1, step), 0)
        measured = train_step(run, batch)
        for group in plain.param_groups:
            group["lr"] = 1e-2 * min(1.0, (step + 1) / 4)
        logits = other.logits(other(batch.rows)).reshape(-1, 11)
        each = -logits.log_softmax(-1)[batch.at, batch.targets]
        assert batch.weights is not None
        assert batch.scored is not None
        loss = (each * batch.weights).sum() / batch.weights.sum()
        right = (logits[batch.at].argmax(-1) == batch.targets)[batch.scored].float().mean()
        plain.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(other.parameters(), 0.3)
        plain.step()
        assert measured == pytest.approx({"loss": loss.item(), "accuracy": right.item()}, abs=1e-5)
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)


def test_checks_and_saves_happen_at_their_steps_and_after_the_last() -> None:
    saved: list[int] = []

    def check(run: Run, measured: dict[str, Any]) -> dict[str, Any]:
        return {"checked": run.step, "known": sorted(measured)}

    run = train(run_of(batches(7)), check=check, save=lambda r: saved.append(r.step), at=(0, 3, 6))
    assert saved == [0, 3, 6, 7]
    assert [row["step"] for row in run.history] == [row["checked"] for row in run.history] == saved
    assert run.history[0]["known"] == []
    assert run.history[1]["known"] == ["accuracy", "loss"]
    run = train(run_of(batches(7)), at=lambda step: step % 2 == 0)
    assert [row["step"] for row in run.history] == [0, 2, 4, 6, 7]
    assert all(len(row["loss"]) == 3 for row in run.history[1:])
    assert run.seconds > 0


def test_training_for_some_steps_leaves_the_other_batches_undrawn() -> None:
    source = Drawn(9)
    run = train(run_of(source), 4)
    assert (run.step, source.drawn, run.history) == (4, 4, [])
    train(run)
    assert (run.step, source.drawn) == (9, 9)
    assert len(source.seen) == 9  # told of every step


@pytest.mark.parametrize("remembers", [True, False])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, remembers: bool) -> None:
    def source(n: int = 8) -> Any:
        return Drawn(n) if remembers else batches(n)

    whole = train(run_of(source()), at=(2, 6))
    stopped = train(run_of(source()), 5, at=(2, 6))
    save_run(stopped, tmp_path / "deep" / "state.pt")
    fresh = source()
    again = resume(run_of(fresh), tmp_path / "deep" / "state.pt")
    train(again, at=(2, 6))
    assert all(torch.equal(p, q) for p, q in zip(whole.module.parameters(), again.module.parameters(), strict=True))
    without_times = [[{**row, "cpu_seconds": 0} for row in run.history] for run in (whole, again)]
    assert without_times[0] == without_times[1]
    if remembers:
        assert fresh.drawn == 3


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_run(run_of(batches(1), "one"), tmp_path / "state.pt")
    with pytest.raises(ModelError, match="another recipe or seed: one; expected two"):
        resume(run_of(batches(1), "two"), tmp_path / "state.pt")


def test_a_module_around_a_net_trains_all_of_its_parts() -> None:
    class Learner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nets(1)[0]
            self.encoder = torch.nn.Linear(4, 32)

    def loss(learner: Learner, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        read = learner.net.logits(learner.net(learner.encoder(batch), last=True))[:, 0]
        return {"loss": ((read - batch[:, -1, 0]) ** 2).mean(-1)}

    learner = Learner()
    make = torch.Generator().manual_seed(0)
    source = (torch.randn(64, 3, 4, generator=make) for _ in range(80))
    run = train(Run(learner, build_optimizers(learner, lr=1e-2), source, loss), at=(1,))
    assert run.history[-1]["loss"] < 0.3 * run.history[0]["loss"]
